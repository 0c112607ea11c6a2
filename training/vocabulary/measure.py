"""Count what a tokenizer makes of texts, in units in which tokenizers of any kind can be compared."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.errors import TokenizerError
from training.vocabulary.base import Vocabulary

_WORD: Final = re.compile(r"[^\W\d_]+")  # letters only
_RESAMPLES: Final = 1_000
_LETTER: Final = "а"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One tokenizer on one set of texts.

    `plus_minus`: half the 95 % interval of the characters per token, by drawing the documents anew.
    `tokens_per_word`, `one_token_words`: of words as they stand after a space, letters only, each counted as
    often as it occurs. `byte_fallback`: share of the tokens that hold no whole character, whether written as
    <0xD0> or byte-level. `unknown`: share of unknown tokens. `round_trip_failures`: documents that do not
    come back to the letter.
    """

    tokenizer: str
    texts: str
    vocabulary: int
    documents: int
    characters: int
    characters_per_token: float
    plus_minus: float
    bytes_per_token: float
    tokens_per_word: float
    one_token_words: float
    byte_fallback: float
    unknown: float
    round_trip_failures: int
    megabytes_per_second: float


def measure(vocabulary: Vocabulary, texts: Sequence[str], *, name: str) -> Measured:
    """Encode every text and a word at a time. Raises TokenizerError where there is nothing to encode."""
    begun = time.perf_counter()
    encoded = [vocabulary.encode(text) for text in texts]
    seconds = time.perf_counter() - begun
    characters = np.array([len(text) for text in texts])
    tokens = np.array([len(ids) for ids in encoded])
    num_bytes, num_tokens = sum(len(text.encode()) for text in texts), int(tokens.sum())
    if not num_tokens:
        raise TokenizerError(f"{name}: there is no text to measure {vocabulary.name} on")
    used = Counter(i for ids in encoded for i in ids)
    fallback = sum(count for i, count in used.items() if _is_part(vocabulary.pieces[i].surface))
    per_word, one_token = _words(vocabulary, texts)
    unknown = vocabulary.roles.get("unk")
    return Measured(
        tokenizer=vocabulary.name,
        texts=name,
        vocabulary=len(vocabulary.pieces),
        documents=len(texts),
        characters=int(characters.sum()),
        characters_per_token=characters.sum() / num_tokens,
        plus_minus=plus_minus(characters, tokens),
        bytes_per_token=num_bytes / num_tokens,
        tokens_per_word=per_word,
        one_token_words=one_token,
        byte_fallback=fallback / num_tokens,
        unknown=0.0 if unknown is None else used[unknown] / num_tokens,
        round_trip_failures=sum(
            vocabulary.decode(ids) != text for ids, text in zip(encoded, texts, strict=True)
        ),
        megabytes_per_second=num_bytes / 1e6 / seconds,
    )


def plus_minus(above: np.ndarray, below: np.ndarray) -> float:
    """Return half the 95 % interval of sum(above) / sum(below), by a bootstrap over documents.

    Documents are drawn with a fixed seed: the same texts, the same interval.
    """
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(len(above), size=len(above))
        ratios.append(above[drawn].sum() / max(1, below[drawn].sum()))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(high - low) / 2


def _is_part(surface: bytes | None) -> bool:
    if surface is None:
        return False
    try:
        surface.decode()
    except UnicodeDecodeError:
        return True
    return False


def _words(vocabulary: Vocabulary, texts: Iterable[str]) -> tuple[float, float]:
    """Return the tokens of an average word, and the share of words that are one token."""
    words = Counter(word for text in texts for word in _WORD.findall(text))
    if not words:
        return float("nan"), float("nan")
    length = _length_after_a_space(vocabulary)
    lengths = {word: length(word) for word in words}
    total = words.total()
    one = sum(count for word, count in words.items() if lengths[word] == 1)
    return sum(count * lengths[word] for word, count in words.items()) / total, one / total


def _length_after_a_space(vocabulary: Vocabulary) -> Callable[[str], int]:
    """Return a function that counts a word's tokens; some tokenizers write the space before it themselves."""
    surfaces = [vocabulary.pieces[i].surface or b"" for i in vocabulary.encode(_LETTER)]
    space = "" if b"".join(surfaces).startswith(b" ") else " "
    return lambda word: len(vocabulary.encode(space + word))
