"""Which row is read when: a pure function of the seed and the sample's number, whatever was read before.

No state but the number of the step and the ranges to skip; nothing depends on how many processes share the
work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.errors import ConfigError, CorpusError
from training.packed.mixture import BLOCK, quantised, spread
from training.packed.shuffle import keyed, permuted

_Ints = NDArray[np.int64]
Skips = Sequence[tuple[int, int]]


def actual(virtual: _Ints, *, skips: Skips) -> _Ints:
    """Return the samples' own numbers: the virtual ones count only what is not skipped.

    `skips` are sorted, disjoint, half-open ranges of own numbers.
    """
    begins, ends = np.array(skips, np.int64).reshape(-1, 2).T
    skipped = np.concatenate([[0], np.cumsum(ends - begins)])
    found: _Ints = virtual + skipped[np.searchsorted(begins - skipped[:-1], virtual, side="right")]
    return found


def merge(skips: Skips, *, new: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the ranges with one more, sorted, those that touch made one. Empty ones go."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted([*skips, new]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif begin < end:
            merged.append((begin, end))
    return tuple(merged)


class Order:
    """The rows of all domains in the order of reading.

    `weights`: share of the samples by domain, any positive scale; a domain without one, or with 0, is never
    read. An empty table stands for the shares of the rows. Shares are rounded to parts of a block of 65,536
    samples (one at least), or of all rows where there are fewer and no weights: then an epoch reads every row
    once. Raises ConfigError where weights do not fit the rows, CorpusError where there are no rows.
    """

    def __init__(self, rows_by_domain: Mapping[str, int], *, weights: Mapping[str, float], seed: int) -> None:
        if not sum(rows_by_domain.values()):
            raise CorpusError("there is nothing to train on: no domain has a row")
        shares = {domain: share for domain, share in (weights or rows_by_domain).items() if share > 0}
        if empty := [domain for domain in sorted(shares) if not rows_by_domain.get(domain)]:
            known = ", ".join(sorted(domain for domain, rows in rows_by_domain.items() if rows))
            raise ConfigError(f"mixture: no text of {', '.join(empty)} was packed; there is {known}")
        if not shares:
            raise ConfigError("mixture: every share is 0; give one domain a share, or leave the table out")
        self.domains: tuple[str, ...] = tuple(sorted(shares))
        self.num_rows: int = sum(rows_by_domain[domain] for domain in self.domains)
        self._seed = seed
        self._rows = np.array([rows_by_domain[domain] for domain in self.domains], np.int64)
        size = BLOCK if weights else min(BLOCK, self.num_rows)
        self._counts = quantised([shares[domain] for domain in self.domains], total=size)
        self._pattern = spread(self._counts)
        self._ranks = np.empty(size, np.int64)  # which of its domain's places in the block a place is
        for number, count in enumerate(self._counts):
            self._ranks[self._pattern == number] = np.arange(count)

    def locate(self, samples: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return the samples' domains (places in `domains`), rows in them, and epochs of them."""
        block, place = np.divmod(samples, len(self._pattern))
        domain = self._pattern[place]
        epoch, visit = np.divmod(block * self._counts[domain] + self._ranks[place], self._rows[domain])
        row = np.empty_like(visit)
        for number, turn in set(zip(domain.tolist(), epoch.tolist(), strict=True)):
            here = (domain == number) & (epoch == turn)
            keys = keyed("rows", self._seed, self.domains[number], turn)
            row[here] = permuted(visit[here], size=int(self._rows[number]), keys=keys)
        return domain, row, epoch
