"""What best-fit packing is held against: a packer with a buffer, and the bound that none can beat."""

from __future__ import annotations

from bisect import bisect_right, insort

import numpy as np
from numpy.typing import NDArray

BUFFER = 1_000  # documents that a packer with a buffer looks at

Lengths = NDArray[np.int64]


def pieces(tokens: Lengths, *, length: int) -> Lengths:
    """Return the documents' lengths, those beyond a row cut."""
    whole, rest = tokens // length, tokens % length
    return np.concatenate([np.full(int(whole.sum()), length), rest[rest > 0]])


def least_rows(lengths: Lengths, *, length: int) -> int:
    """Return a bound that no packing of whole pieces beats (L2 of Martello and Toth, 1990)."""
    counts = np.bincount(lengths, minlength=length + 1)
    number = np.concatenate([np.cumsum(counts[::-1])[::-1], [0]])  # of pieces at least so long
    used = np.concatenate([np.cumsum((counts * np.arange(length + 1))[::-1])[::-1], [0]])
    half, found = length // 2 + 1, 0
    for small in range(1, half):  # pieces beyond length - small share a row with nothing of `small` or more
        large = number[length - small + 1]
        middle = number[half] - large
        room = middle * length - (used[half] - used[length - small + 1])
        found = max(found, int(large + middle + max(0, -(-(used[small] - used[half] - room) // length))))
    return found


def buffered(lengths: Lengths, *, length: int) -> int:
    """Return the rows of a packer that fills one row after the other from a buffer, the longest first."""
    coming = np.random.default_rng(1).permutation(lengths).tolist()
    waiting, rows, space = sorted(coming[:BUFFER]), 0, 0
    coming = coming[BUFFER:]
    while waiting:
        fitting = bisect_right(waiting, space)
        if not fitting:
            rows, space = rows + 1, length
            continue
        space -= waiting.pop(fitting - 1)
        if coming:
            insort(waiting, coming.pop())
    return rows
