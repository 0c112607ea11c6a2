"""New rows from old ones: every method but `random` is a sparse matrix of weights on the old rows.

So one set of weights serves the embedding and the head, each from its own rows, and a chunk of new rows costs
the memory of the old rows that it needs.

Shapes: V new ids, U old ids, D width, N rows of a chunk.
"""

# ruff: noqa: N803, N806, N815 - shape suffixes

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from scipy import sparse

from training.swap.checkpoint import Rows
from training.vocabulary.base import Vocabulary

Method = Literal["mean", "focus", "random", "global-mean"]
MULTIPLE: Final = 64  # rows of a matrix: tensor cores and tensor parallelism like round numbers
CHUNK: Final = 1_024  # rows; with 10,000 old rows of width 4,096 behind them 160 MiB in float32


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows are made. A new id without weights gets the global mean, or is drawn if `draws`."""

    weights_VU: sparse.csr_array
    trained_U: np.ndarray  # ids of the old pieces that texts are made of: the others' rows were never trained
    draws: bool = False


def mean_weights(pieces: Sequence[Sequence[int]], *, num_old: int) -> sparse.csr_array:
    """Return equal weights on each new token's old pieces: a single piece is copied."""
    lengths = [len(ids) for ids in pieces]
    rows = np.repeat(np.arange(len(pieces)), lengths)
    columns = np.fromiter((i for ids in pieces for i in ids), dtype=np.int64, count=len(rows))
    values = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    return sparse.coo_array((values, (rows, columns)), shape=(len(pieces), num_old)).tocsr()


def trained_ids(old: Vocabulary, *, num_rows: int) -> np.ndarray:
    """Return the ids of the old pieces that stand for text and have a row."""
    ids = [i for i, piece in enumerate(old.pieces[:num_rows]) if piece.surface is not None]
    return np.array(ids, dtype=np.int64)


def make_rows(old_rows: Rows, *, plan: Plan, num_rows: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield the new rows in chunks [N, D], in float32.

    Without old pieces, or with one that is all zeros as padding is in Gemma, a row is the mean of all old
    ones: by Hewitt (2021, nlp.stanford.edu/~johnhew/vocab-expansion.html) what moves the distribution of the
    next token least. A drawn row is normal with the old rows' mean and deviation in each dimension.

    The rows after the vocabulary's last are the mean of the new ones: their logit is the average one, so
    never the highest, and exp being convex they take at most their share of the probability (63 of 32,064:
    0.2 %).
    """
    mean_D, deviation_D = _moments(old_rows, ids=plan.trained_U)
    generator = torch.Generator().manual_seed(seed)
    num_new = plan.weights_VU.shape[0]
    total_D = torch.zeros_like(mean_D)
    for begin in range(0, num_new, CHUNK):
        weights_NU = plan.weights_VU[begin : begin + CHUNK]
        rows_ND = _combine(weights_NU, old_rows=old_rows)
        bare_N = ~rows_ND.any(dim=1)
        rows_ND[bare_N] = mean_D.float()
        if plan.draws:
            noise_ND = torch.randn(rows_ND.shape, generator=generator) * deviation_D.float()
            rows_ND[bare_N] += noise_ND[bare_N]
        total_D += rows_ND.sum(0, dtype=torch.float64)
        yield rows_ND
    if num_rows > num_new:
        yield (total_D / num_new).float().expand(num_rows - num_new, -1)


def _combine(weights_NU: sparse.csr_array, *, old_rows: Rows) -> torch.Tensor:
    needed, places = np.unique(weights_NU.indices, return_inverse=True)
    rows_KD = old_rows(needed).numpy()
    small = sparse.csr_array(
        (weights_NU.data, places, weights_NU.indptr), shape=(weights_NU.shape[0], len(needed))
    )
    return torch.from_numpy(small @ rows_KD)


def _moments(old_rows: Rows, *, ids: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of the rows per dimension, summed in float64 by chunks."""
    total_D = squares_D = torch.zeros(1, dtype=torch.float64)
    for begin in range(0, len(ids), CHUNK):
        rows_ND = old_rows(ids[begin : begin + CHUNK]).double()
        total_D = total_D + rows_ND.sum(0)
        squares_D = squares_D + rows_ND.square().sum(0)
    mean_D = total_D / len(ids)
    return mean_D, (squares_D / len(ids) - mean_D.square()).clamp(min=0).sqrt()
