"""Mixes domains by weight so evenly that every window of samples holds the shares, not only the whole run."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 2**16  # samples in which the mixture comes out exactly


def quantised(shares: Sequence[float], *, total: int) -> NDArray[np.int64]:
    """Return whole numbers in these shares that add up to `total`: largest remainders, each 1 or more."""
    exact = np.array(shares, np.float64) / sum(shares) * total
    counts: NDArray[np.int64] = np.maximum(1, np.floor(exact)).astype(np.int64)
    while missing := total - int(counts.sum()):  # more than one turn only where many shares were raised to 1
        step = 1 if missing > 0 else -1
        wanting = np.argsort(-step * (exact - counts) + (counts <= 1) * (step < 0) * total, kind="stable")
        counts[wanting[: abs(missing)]] += step
    return counts


def spread(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the domain of each place of a block, so that the first n hold n * share of it to within 1.

    The k-th visit of a domain of share s belongs between k / s and (k + 1) / s; of those that may come, the
    one that must be over first comes first, which keeps all of them in time (Baruah et al. 1996, Pfair).
    """
    total = int(counts.sum())
    visits = sorted(
        (visit * total // count, -(-(visit + 1) * total // count), domain)
        for domain, count in enumerate(counts.tolist())
        for visit in range(count)
    )
    waiting: list[tuple[int, int]] = []
    places, at = np.empty(total, np.int64), 0
    for place in range(total):
        while at < total and visits[at][0] <= place:
            heapq.heappush(waiting, visits[at][1:])
            at += 1
        places[place] = heapq.heappop(waiting)[1]
    return places
