"""A shuffle that is arithmetic: the place of any number without the others, the same on every machine.

NumPy's generators may change between its versions, and a permutation of a billion rows takes 8 GB.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROUNDS: Final = 6  # a Feistel network of 4 is a strong pseudorandom permutation (Luby and Rackoff 1988)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return each number scrambled over 64 bits, one to one (SplitMix64's finaliser, Steele et al. 2014)."""
    found = values + np.uint64(0x9E3779B97F4A7C15)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return found ^ (found >> np.uint64(31))


@lru_cache(maxsize=1024)
def keyed(*parts: str | int) -> NDArray[np.uint64]:
    """Return a key a round, drawn from the parts."""
    drawn = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8 * _ROUNDS).digest()
    return np.frombuffer(drawn, "<u8").astype(np.uint64)


def permuted(numbers: NDArray[np.int64], *, size: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return where a permutation of 0 … size - 1 takes the numbers, one to one.

    A Feistel network permutes the numbers of 2n bits, the least that hold `size`; what lands beyond goes
    through again until it is back (cycle walking, Black and Rogaway 2002): four times at most on average.
    """
    half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
    found = numbers.astype(np.uint64)
    beyond = np.ones(found.shape, np.bool_)
    while beyond.any():
        found[beyond] = _network(found[beyond], half=half, keys=keys)
        beyond = found >= np.uint64(size)
    return found.astype(np.int64)


def _network(values: NDArray[np.uint64], *, half: np.uint64, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    for key in keys:
        left, right = right, left ^ (mix(right ^ key) & low)
    return (left << half) | right
