"""Gopher's repetition filter, to the same verdict as datatrove's, at a multiple of its speed.

datatrove joins the words of every n-gram of nine lengths into strings: the slowest step of a whole pipeline.
Here an n-gram is a number, and longer ones are looked for only where a shorter one came twice.
"""

from __future__ import annotations

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter, find_duplicates
from datatrove.utils.text import split_into_words
from numpy.typing import NDArray

Numbers = NDArray[np.int64]  # one a word, or one an n-gram still looked at: its start, its number


class FastRepetition(GopherRepetitionFilter):
    """datatrove's filter with its settings and reasons, counted by numbers."""

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Return whether the text repeats itself too much, or how."""
        return self._by_lines(doc.text) or self._by_n_grams(doc.text) or True

    def _by_lines(self, text: str) -> tuple[bool, str] | None:
        """Count paragraphs and lines that came before."""
        for unit, parts, most, most_chars in (
            ("para", self.paragraph_exp.split(text.strip()), self.dup_para_frac, self.dup_para_char_frac),
            ("line", self._line_splitter.split(text), self.dup_line_frac, self.dup_line_char_frac),
        ):
            repeats, chars = find_duplicates(parts)
            if most and repeats / len(parts) > most:
                return False, f"dup_{unit}_frac"
            if most_chars and chars / len(text) > most_chars:
                return False, f"dup_{unit}_char_frac"
        return None

    def _by_n_grams(self, text: str) -> tuple[bool, str] | None:
        """Count the commonest n-gram's characters, then those of n-grams that came before."""
        if not (self.top_n_grams or self.dup_n_grams):
            return None
        words = split_into_words(text, self.language)
        numbers: dict[str, int] = {}
        numbered = np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int64)
        ends = np.concatenate(([0], np.cumsum([len(word) for word in words], dtype=np.int64)))
        starts, grams = np.arange(len(words)), numbered
        top, repeated = dict(self.top_n_grams), dict(self.dup_n_grams)
        for n in range(2, max([*top, *repeated]) + 1):
            starts, grams = _longer(starts, grams, numbered, n=n, keep_single=n <= max(top, default=0))
            if not len(starts):
                break
            if n in top:
                chars = _top(starts, grams, ends, n=n)
                if chars / len(text) > top[n]:
                    return False, f"top_{n}_gram"
            if n in repeated and _repeated(starts, grams, ends, n=n) / len(text) > repeated[n]:
                return False, f"duplicated_{n}_n_grams"
        return None


def _longer(
    starts: Numbers, grams: Numbers, numbered: Numbers, *, n: int, keep_single: bool
) -> tuple[Numbers, Numbers]:
    """Return where n-grams start and which they are, from those one word shorter.

    Numbers, not hashes: equal exactly where the words are. Without `keep_single` only those that come twice.
    """
    if not keep_single and len(grams):
        twice = np.bincount(grams)[grams] > 1
        starts, grams = starts[twice], grams[twice]
    inside = starts + n <= len(numbered)
    starts, grams = starts[inside], grams[inside]
    pairs = grams * len(numbered) + numbered[starts + n - 1]
    return starts, np.unique(pairs, return_inverse=True)[1].astype(np.int64)


def _top(starts: Numbers, grams: Numbers, ends: Numbers, *, n: int) -> int:
    """Return the characters, spaces between words included, of the commonest n-gram; the first of equals."""
    counts = np.bincount(grams)
    first = int(starts[np.argmax(counts[grams])])
    return int((ends[first + n] - ends[first] + n - 1) * counts.max())


def _repeated(starts: Numbers, grams: Numbers, ends: Numbers, *, n: int) -> int:
    """Return the characters of n-grams that came before, none counted twice."""
    twice = np.bincount(grams)[grams] > 1
    seen, chars, free = set(), 0, 0
    for position, gram in zip(starts[twice].tolist(), grams[twice].tolist(), strict=True):
        if position < free:
            continue
        if gram in seen:
            chars += int(ends[position + n] - ends[position])
            free = position + n
        else:
            seen.add(gram)
    return chars
