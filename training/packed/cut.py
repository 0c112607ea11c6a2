"""Cuts documents that are longer than a row: every token but the first is foretold in exactly one piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.errors import CorpusError
from training.packed.files import CURE
from training.packed.store import Domain

WINDOW: Final = 2**22  # pieces that are packed together: about 250 MB of memory
_Pieces = tuple[NDArray[np.int64], NDArray[np.int64]]


def windows(domain: Domain, *, length: int) -> Iterator[_Pieces]:
    """Yield first tokens and inputs of the pieces, `WINDOW` and more at a time, whatever the shards."""
    waiting: list[_Pieces] = []
    for pieces in _pieces(domain, length=length):
        waiting.append(pieces)
        if sum(len(starts) for starts, _ in waiting) >= WINDOW:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _pieces(domain: Domain, *, length: int) -> Iterator[_Pieces]:
    """Yield the pieces of a shard's documents, cut at multiples of `length` inputs.

    A piece's last target is the first token of the next one.
    """
    for shard, base in zip(domain.shards, domain.bases, strict=False):
        lengths = shard.lengths.astype(np.int64)
        if lengths.sum() != shard.counts.tokens:
            raise CorpusError(f"{shard.path}.lengths: the lengths do not add up; {CURE}")
        begins = base + np.cumsum(lengths) - lengths
        nums = -(-(lengths - 1) // length)
        bounds = np.flatnonzero(np.diff(np.cumsum(nums) // WINDOW)) + 1
        for some in np.split(np.arange(len(lengths)), bounds):
            document = np.repeat(some, nums[some])
            before = np.repeat(np.cumsum(nums[some]) - nums[some], nums[some])
            offset = (np.arange(len(document)) - before) * length
            yield begins[document] + offset, np.minimum(length, lengths[document] - 1 - offset)


def _joined(parts: list[_Pieces]) -> _Pieces:
    return np.concatenate([starts for starts, _ in parts]), np.concatenate([lengths for _, lengths in parts])
