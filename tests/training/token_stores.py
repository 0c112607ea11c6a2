"""Stores of tokens for tests, written and packed as the stages do it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from training.packed.batches import Batch, Feed
from training.packed.meta import create_store
from training.packed.order import Order
from training.packed.rows import Rows, open_rows
from training.packed.tokens import TokenWriter
from training.packing import pack_store
from training.vocabulary.base import Piece

PIECES = [Piece("<s>", None), Piece("</s>", None), Piece("ж", "ж".encode()), Piece("�", b"\xd0")]
BOS, EOS = 0, 1


def store(folder: Path, documents: dict[str, Sequence[Any]], *, size: int = 100, shards: int = 1) -> Path:
    """Write documents of ids, or of (ids, trained)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text("{}")
    pieces = PIECES + [Piece("да", "да".encode())] * (size - len(PIECES))
    vocabulary: Any = SimpleNamespace(name="новый", pieces=pieces, roles={"bos": BOS, "eos": EOS})
    create_store(folder / "store", vocabulary=vocabulary, vocabulary_folder=folder)
    for domain, some in documents.items():
        for shard in range(shards):
            with TokenWriter(folder / "store", domain=domain, shard=f"{shard:05}") as writer:
                for one in some[shard::shards]:
                    ids, trained = one if isinstance(one, tuple) else (one, None)
                    writer.add(ids, trained=trained)
    return folder / "store"


def rows_of(folder: Path, *, length: int) -> Rows:
    pack_store(folder, lengths=[length], seed=1)
    return open_rows(folder, length=length)


def epoch(rows: Rows) -> Batch:
    order = Order(rows.domains, weights={}, seed=1)
    return Feed(rows, order=order).read(np.arange(order.num_rows))
