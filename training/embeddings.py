"""A new vocabulary for an old checkpoint: new rows for its embedding and its head, everything else as it was.

The checkpoint is streamed tensor by tensor, so that a 7B fits in 24 GB with room to spare: at any time there
is a chunk of new rows in memory, with the old rows that it comes from.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from scipy import sparse

from training.errors import CheckpointError
from training.swap.checkpoint import DTYPES, Checkpoint, open_checkpoint, open_rows
from training.swap.focus import focus_weights
from training.swap.initial import (
    MULTIPLE,
    Method,
    Plan,
    make_rows,
    mean_weights,
    trained_ids,
)
from training.swap.kept import write_kept
from training.swap.pieces import measure_pieces, old_pieces
from training.swap.settings import check_tokenizer, write_settings
from training.swap.stored import Planned, Stored, write_tensors
from training.swap.vectors import TokenVectors, token_vectors
from training.vocabulary.base import Vocabulary

_MB: Final = 1_000_000


def swap_embeddings(
    base: Path,
    *,
    old: Vocabulary,
    new: Vocabulary,
    tokenizer: Path,
    target: Path,
    method: Method,
    seed: int,
    shard_mb: int = 2_000,
    corpus: Iterable[str] = (),
    dimensions: int = 256,
    pieces: Sequence[Sequence[int]] | None = None,
) -> dict[str, Any]:
    """Write the checkpoint with the new vocabulary into the folder `target` and return figures.

    `tokenizer` is the folder of `new`'s files. `corpus` (texts like those to be trained on) and `dimensions`
    are for focus. `pieces` replaces the map from new ids to old ones. The caller publishes `target`
    (models.folders.building). Raises CheckpointError, for most faults before anything is written.
    """
    checkpoint = open_checkpoint(base)
    check_tokenizer(tokenizer, new=new)
    known = _with_rows(old_pieces(new, old=old) if pieces is None else pieces, old=old, checkpoint=checkpoint)
    assert len(known) == len(new.pieces), "a list of old ids for each new one"
    vectors = functools.partial(token_vectors, corpus, vocabulary=new, dimensions=dimensions, seed=seed)
    weights = _weights(known, method=method, num_old=checkpoint.num_rows, new=new, vectors=vectors)
    plan = Plan(weights, trained_ids(old, num_rows=checkpoint.num_rows), draws=method == "random")
    num_rows = math.ceil(len(new.pieces) / MULTIPLE) * MULTIPLE
    made = {
        tensor: _planned(tensor, plan=plan, num_rows=num_rows, seed=2 * seed + is_head)
        for is_head, tensor in enumerate((checkpoint.embedding, checkpoint.head))
        if tensor is not None
    }
    body = {tensor: _copied(tensor) for tensor in checkpoint.body}
    order = sorted(body | made, key=lambda tensor: (tensor.file.name, tensor.begin))
    shards = write_tensors(
        [(made | body)[tensor] for tensor in order], folder=target, shard_bytes=shard_mb * _MB
    )
    write_kept(known if method in ("mean", "focus") else [], new=new, folder=target)
    write_settings(checkpoint, old=old, new=new, num_rows=num_rows, tokenizer=tokenizer, target=target)
    figures = measure_pieces(new, old=old, mapping=known)
    return {
        "method": method,
        "tied": checkpoint.head is None,
        "rows before": checkpoint.num_rows,
        "rows": num_rows,
        "tokens in both": figures.one_piece,
        "old pieces per token": figures.mean_pieces,
        "tokens without pieces": figures.unmapped,
        "MB": sum(shard.stat().st_size for shard in shards) / _MB,
        "files": len(shards),
    }


def _weights(
    pieces: Sequence[Sequence[int]],
    *,
    method: Method,
    num_old: int,
    new: Vocabulary,
    vectors: Callable[[], TokenVectors],
) -> sparse.csr_array:
    """Return the weights [new, old] of a method; the yardsticks carry over the special tokens alone."""
    match method:
        case "mean":
            return mean_weights(pieces, num_old=num_old)
        case "focus":
            return focus_weights(pieces, found=vectors(), num_old=num_old)
        case "random" | "global-mean":
            special = [ids if new.pieces[i].surface is None else [] for i, ids in enumerate(pieces)]
            return mean_weights(special, num_old=num_old)


def _with_rows(
    pieces: Sequence[Sequence[int]], *, old: Vocabulary, checkpoint: Checkpoint
) -> list[list[int]]:
    """Return the pieces that have a row. Raises CheckpointError where one that stands for text has none.

    Special tokens may lack one: Gemma 3 1B has 262,144 rows, and <image_soft_token> is 262,144.
    """
    rows = checkpoint.num_rows
    if any(piece.surface is not None for piece in old.pieces[rows:]):
        raise CheckpointError(
            f"{checkpoint.embedding.file}: {checkpoint.embedding.name} has {rows:,} rows, but the vocabulary "
            f"{old.name} has {len(old.pieces):,} ids: it is of another checkpoint"
        )
    return [[i for i in ids if i < rows] for ids in pieces]


def _planned(tensor: Stored, *, plan: Plan, num_rows: int, seed: int) -> Planned:
    def read() -> Iterator[memoryview]:
        for rows in make_rows(open_rows(tensor), plan=plan, num_rows=num_rows, seed=seed):
            yield rows.to(dtype).contiguous().view(torch.uint8).numpy().data

    dtype = DTYPES[tensor.dtype]
    width = tensor.shape[1]
    return Planned(tensor.name, tensor.dtype, (num_rows, width), num_rows * width * dtype.itemsize, read)


def _copied(tensor: Stored) -> Planned:
    return Planned(tensor.name, tensor.dtype, tensor.shape, tensor.end - tensor.begin, tensor.read)
