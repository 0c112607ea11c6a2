"""Finds questions in texts, whatever their case, punctuation and spaces.

Texts are compared by letters and digits alone. A hash of every 12 of them is looked up among those of the
questions; where one is found, the question is compared with the text around it, so no hash decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.cleaning.questions import ANCHOR, LONG, Question
from training.cleaning.shingles import END, SPACE, fold, windows

STRIDE: Final = 16  # letters from one anchor of a question to the next: 13 words hold one
LETTERS: Final = 40  # that 13 words must have: of formulas thirteen words are thirteen letters
_BITS: Final = 22  # of the table that is asked first: 4 MB, 98 % of all hashes end there
_LABELS: Final = (
    ("",) * 26,
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрстуфхцчшщэ",
    "12345678901234567890123456",
)


class Index:
    """The anchors of all questions: hashes, and of which question at which letter."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions
        texts, where = [], []
        for number, question in enumerate(questions):
            for offset, text in _anchors(question):
                texts.append(text)
                where.append((number, offset))
        letters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        hashes = windows(letters, ANCHOR)[::ANCHOR]
        order = np.argsort(hashes, kind="stable")
        self.hashes = hashes[order]
        self.where = [where[place] for place in order.tolist()]
        self.seen = np.zeros(2**_BITS, dtype=np.bool_)
        self.seen[hashes >> np.uint64(64 - _BITS)] = True

    def candidates(self, letters: NDArray[np.uint32]) -> list[tuple[int, int, int]]:
        """Return (place in the letters, question, letter of the question) wherever an anchor is found."""
        hashes = windows(letters, ANCHOR)
        places = np.flatnonzero(self.seen.take((hashes >> np.uint64(64 - _BITS)).astype(np.int64)))
        lower = np.searchsorted(self.hashes, hashes[places], side="left").tolist()
        upper = np.searchsorted(self.hashes, hashes[places], side="right").tolist()
        return [
            (place, *self.where[found])
            for place, start, end in zip(places.tolist(), lower, upper, strict=True)
            for found in range(start, end)
        ]


def _anchors(question: Question) -> list[tuple[int, str]]:
    """Return pieces of a question by their offset; of a very short one they reach into its choices."""
    text = question.text
    if len(text) >= ANCHOR:
        offsets = {*range(0, len(text) - ANCHOR + 1, STRIDE), len(text) - ANCHOR}
        return [(offset, text[offset : offset + ANCHOR]) for offset in sorted(offsets)]
    listed = [
        "".join(f"{label}{choice}" for label, choice in zip(labels, question.choices, strict=False))
        for labels in _LABELS
    ]
    return [(0, f"{text}{choices}"[:ANCHOR]) for choices in listed if len(text) + len(choices) >= ANCHOR]


def quoted(texts: Sequence[str], index: Index) -> list[Question | None]:
    """Return the first question that each text holds."""
    codes = fold(texts)
    kept = np.flatnonzero(codes != SPACE)
    letters = codes[kept]
    candidates = index.candidates(letters)
    found: list[Question | None] = [None] * len(texts)
    if not candidates:
        return found
    ends = np.flatnonzero(letters == END)
    numbers = np.searchsorted(ends, [place for place, *_ in candidates]).tolist()
    text = letters.tobytes().decode("utf-32-le", "surrogatepass")
    apart = np.diff(kept, prepend=-2) > 1  # a word begins here
    apart[1:] |= (letters[1:] == END) | (letters[:-1] == END)
    for (place, question, offset), number in zip(candidates, numbers, strict=True):
        if found[number] is None:
            start = int(ends[number - 1]) + 1 if number else 0
            bounds = start, int(ends[number])
            if _holds(
                text, index.questions[question], place=place, offset=offset, bounds=bounds, apart=apart
            ):
                found[number] = index.questions[question]
    return found


def _holds(
    text: str,
    question: Question,
    *,
    place: int,
    offset: int,
    bounds: tuple[int, int],
    apart: NDArray[np.bool_],
) -> bool:
    """Tell whether the question, one letter of which is at `place`, is there."""
    sought, shift = question.text, place - offset
    first = offset
    while first and shift + first > bounds[0] and text[shift + first - 1] == sought[first - 1]:
        first -= 1
    last = offset
    while last < len(sought) and text[shift + last] == sought[last]:
        last += 1
    if len(question.starts) >= LONG and last - first >= LETTERS:
        bounds_of_words = [*question.starts, len(sought)]
        if sum(first <= bound <= last for bound in bounds_of_words) > LONG:
            return True
    if last - first < len(sought) or not (apart[shift] and apart[shift + last]):
        return False
    return (
        question.alone
        or bounds == (shift, shift + last)
        or _choices_follow(text, question, start=shift + last, end=bounds[1])
    )


def _choices_follow(text: str, question: Question, *, start: int, end: int) -> bool:
    """Tell whether all choices come soon after the question, with any labels."""
    reach = 2 * sum(map(len, question.choices)) + 100
    following = text[start : min(end, start + reach)]
    return bool(question.choices) and all(choice in following for choice in question.choices)
