"""Rows become what a step takes: ids, targets, positions that begin anew with each document's piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from training.errors import CorpusError
from training.packed.files import CURE
from training.packed.order import Order
from training.packed.rows import Rows

IGNORED: Final = -100  # the label that PyTorch's cross-entropy leaves out


@dataclass(frozen=True)
class Batch:
    """Rows of a step. R = rows, T = positions of a row.

    `ids`, `labels`, `positions`: int64 [R, T]. labels[r, t] is the target of position t itself, -100 where
    there is none: padding, and in dialogues what is not trained. `lengths`: the pieces in reading order over
    the R * T positions, the padding at a row's end one of its own; positions begin at 0 in each.
    `characters`: those that the targets begin.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    lengths: list[int]
    num_targets: int
    characters: int


class Feed:
    """Reads the rows of a store in an order."""

    def __init__(self, rows: Rows, *, order: Order) -> None:
        self.rows = rows
        self.order = order

    def epoch(self, sample: int) -> float:
        """Return how many times as many samples were read as there are rows in the mixture's domains."""
        return sample / self.order.num_rows

    def read(self, samples: NDArray[np.int64]) -> Batch:
        """Return the batch of the samples with these own numbers. Raises CorpusError for a damaged id."""
        length = self.rows.length
        ids = np.full(len(samples) * length, self.rows.store.meta.eos, np.int64)
        labels = np.full(len(samples) * length, IGNORED, np.int64)
        lengths: list[int] = []
        for at, size, shard, begin in self._pieces(samples):
            lengths.append(size)
            if shard is None:
                continue
            ids[at : at + size] = shard.ids[begin : begin + size]
            targets: NDArray[Any] = shard.ids[begin + 1 : begin + 1 + size]
            if shard.trained is not None:
                targets = np.where(
                    shard.trained[begin + 1 : begin + 1 + size], targets.astype(np.int64), IGNORED
                )
            labels[at : at + size] = targets
        sizes = np.array(lengths, np.int64)
        positions = np.arange(len(ids)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        targets = labels[labels != IGNORED]
        if max(ids.max(initial=0), labels.max(initial=0)) >= self.rows.vocab_size:
            raise CorpusError(f"an id is beyond the vocabulary; {CURE}", place=self.rows.store.folder)
        ids_, labels_, positions_ = (
            torch.from_numpy(array).view(len(samples), length) for array in (ids, labels, positions)
        )
        characters = int(self.rows.store.characters[targets].sum(dtype=np.int64))
        return Batch(ids_, labels_, positions_, lengths, len(targets), characters)

    def _pieces(self, samples: NDArray[np.int64]) -> Iterator[tuple[int, int, Any, int]]:
        """Yield place in the batch, size, shard and first token in it of each piece; padding has no shard."""
        length = self.rows.length
        domains, numbers, _ = self.order.locate(samples)
        for row, (number, table_row) in enumerate(zip(domains.tolist(), numbers.tolist(), strict=True)):
            name = self.order.domains[number]
            domain = self.rows.store.domains[name]
            starts, sizes = self.rows.tables[name].row(table_row)
            shards = np.searchsorted(domain.bases, starts, side="right") - 1
            begins = starts - domain.bases[shards]
            at = row * length
            for shard, begin, size in zip(shards.tolist(), begins.tolist(), sizes.tolist(), strict=True):
                yield at, size, domain.shards[shard], begin
                at += size
            if at < (row + 1) * length:
                yield at, (row + 1) * length - at, None, 0
