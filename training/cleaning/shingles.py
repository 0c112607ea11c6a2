"""Texts as numbers, many at a time in one numpy pass: folded characters and the hashes of their n-grams.

datatrove folds and hashes in Python, n-gram by n-gram; this is what makes character n-grams affordable.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np
import xxhash
from datatrove.data import Document
from numpy.typing import NDArray

Codes = NDArray[np.uint32]
Hashes = NDArray[np.uint64]

END: Final = 0  # follows every text
SPACE: Final = 32
_NOTHING: Final = 1  # of characters that leave no trace: accents apart from their letter, soft hyphens
_LAST: Final = 0x1FFFF  # every code point from here on is one and the same: rare ideographs
_BASE: Final = 0x9E3779B97F4A7C15  # odd: multiplication by it loses nothing modulo 2^64
PIECE: Final = 2**16  # characters at a time: their hashes stay in the processor's cache
_MOST: Final = 1_024  # texts at a time
_OVERLAP: Final = 64  # characters of the piece before: no n-gram is lost between two pieces of a long text
_MIX: Final = 0xBF58476D1CE4E5B9  # of splitmix64


@cache
def _table() -> Codes:
    """Return what each code point is folded into: small letters, ё as е, one kind of space."""
    table = np.full(_LAST + 1, SPACE, dtype=np.uint32)
    table[END], table[_LAST] = END, _LAST
    for code in range(1, _LAST):
        character = chr(code)
        if character.isalnum():
            small = character.lower()
            table[code] = ord(small) if len(small) == 1 else code
        elif unicodedata.category(character) in {"Mn", "Me", "Cf"}:
            table[code] = _NOTHING
    table[ord("ё")] = table[ord("Ё")] = ord("е")
    return table


def fold(texts: Sequence[str], *, gap: int = 1) -> Codes:
    """Return the texts' letters and digits in one row, each text followed by `gap` ENDs.

    Words stand one space apart; case and punctuation are gone. A text without letters and digits is its own
    hash, so that no text is empty and "!!!" is not the same as "???".
    """
    end = "\0" * gap
    row = "".join([_visible(text) + end for text in texts])
    points = np.frombuffer(row.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    codes: Codes = _table().take(np.minimum(points, _LAST))
    codes = codes[codes != _NOTHING]
    spaces = codes == SPACE
    codes = codes[~(spaces & np.concatenate([[False], spaces[:-1]]))]
    bounds = np.concatenate([[True], codes == END, [True]])
    folded: Codes = codes[~((codes == SPACE) & (bounds[:-2] | bounds[2:]))]
    return folded


def _visible(text: str) -> str:
    composed = unicodedata.normalize("NFKC", text)
    if any(map(str.isalnum, composed)):
        return composed.replace("\0", " ")
    return xxhash.xxh64_hexdigest(text.encode("utf-8", "surrogatepass"))


def plain(text: str) -> str:
    """Return one text folded."""
    return fold([text])[:-1].tobytes().decode("utf-32-le", "surrogatepass")


def windows(codes: Codes, size: int) -> Hashes:
    """Return a hash of the `size` codes from each place on; the last `size` - 1 places have none."""
    return _mixed(_polynomial(codes.astype(np.uint64), size))


def combined(columns: Sequence[Codes]) -> Hashes:
    """Return one hash of each row."""
    hashes = np.zeros(columns[0].shape, dtype=np.uint64)
    for column in columns:
        hashes *= np.uint64(_BASE)
        hashes += column
    return _mixed(hashes)


def _polynomial(values: Hashes, size: int) -> Hashes:
    """Return sum of values[i + j] * base^(size - 1 - j), modulo 2^64, from those of half the size."""
    if size == 1 or len(values) < size:
        return values[: max(0, len(values) - size + 1)]
    half = size // 2
    halves = _polynomial(values, half)
    whole = halves[:-half] * np.uint64(pow(_BASE, half, 2**64)) + halves[half:]
    return whole[:-1] * np.uint64(_BASE) + values[size - 1 :] if size % 2 else whole


def _mixed(hashes: Hashes) -> Hashes:
    """Return the hashes with every bit depending on all: a polynomial's low bits depend on low bits alone."""
    hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(_MIX)
    return hashes ^ (hashes >> np.uint64(32))


def pieces(text: str, *, size: int = PIECE, overlap: int = _OVERLAP) -> Iterator[str]:
    """Cut a text into pieces of `size` characters, each preceded by the end of the one before."""
    for start in range(0, max(1, len(text)), size):
        yield text[max(0, start - overlap) : start + size]


def batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield the documents in batches that are folded at once; one that is longer than a piece comes alone."""
    batch: list[Document] = []
    num_characters = 0
    for document in documents:
        if batch and (num_characters + len(document.text) > PIECE or len(batch) == _MOST):
            yield batch
            batch, num_characters = [], 0
        batch.append(document)
        num_characters += len(document.text)
    if batch:
        yield batch
