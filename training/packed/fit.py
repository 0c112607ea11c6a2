"""Packs pieces of documents into rows so that hardly a position is empty and nothing that fits is cut.

Best-fit decreasing (Ding et al. 2024, arXiv 2404.10830): the longest piece first, each into the fullest row
that has room for it. It works on the histogram of lengths, as in Krell et al. 2021 (arXiv 2107.02027): pieces
of one length are interchangeable, and so are rows with the same space left, so that whole groups are placed
at once: as many steps as there are pairs of length and space, not as there are pieces.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np
from numpy.typing import NDArray

from training.packed.shuffle import keyed, mix


def pack(
    lengths: NDArray[np.integer], *, length: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pieces' numbers, row by row, and where each row ends among them.

    `lengths` [pieces] are between 1 and `length`. The seed decides which of equally long pieces goes where.
    """
    if lengths.size and not 1 <= lengths.min() <= lengths.max() <= length:
        raise ValueError(f"pieces have 1 to {length} positions, not {lengths.min()} to {lengths.max()}")
    shuffled = np.argsort(mix(np.arange(lengths.size, dtype=np.uint64) ^ keyed("pack", seed)[0]))
    narrow = np.uint16 if length < 2**16 else np.int64  # NumPy sorts numbers of 16 bits by radix
    longest_first = shuffled[np.argsort((length - lengths[shuffled]).astype(narrow), kind="stable")]
    rows = place(np.bincount(lengths, minlength=length + 1), length=length)
    by_row = np.argsort(rows, kind="stable")
    return longest_first[by_row], np.cumsum(np.bincount(rows))


def place(counts: NDArray[np.integer], *, length: int) -> NDArray[np.int64]:
    """Return the row of each piece, the longest first; `counts` [length + 1] says how many have a length."""
    rows: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    open_rows: dict[int, list[NDArray[np.int64]]] = {}  # by the space left
    spaces: list[int] = []  # its keys, sorted
    num_rows = 0
    for size in np.flatnonzero(counts)[::-1].tolist():
        left = int(counts[size])
        while left:
            at = bisect_left(spaces, size)  # the fullest rows with room
            if at == len(spaces):
                num_fresh = -(-left // (length // size))
                open_rows[length] = [np.arange(num_rows, num_rows + num_fresh)]
                spaces.append(length)
                num_rows += num_fresh
            space = spaces[at]
            each = min(space // size, left)  # pieces that go into one such row, one after the other
            taken = _take(open_rows[space], left // each)
            if not open_rows[space]:
                del open_rows[space], spaces[at]
            rows.append(np.repeat(taken, each))
            left -= each * len(taken)
            if rest := space - each * size:
                if rest not in open_rows:
                    open_rows[rest] = []
                    insort(spaces, rest)
                open_rows[rest].append(taken)
    return np.concatenate(rows)


def _take(chunks: list[NDArray[np.int64]], most: int) -> NDArray[np.int64]:
    """Remove up to `most` rows from the chunks and return them."""
    taken = []
    while chunks and most:
        chunk = chunks.pop()
        if len(chunk) > most:
            chunks.append(chunk[most:])
            chunk = chunk[:most]
        taken.append(chunk)
        most -= len(chunk)
    return np.concatenate(taken)
