"""The trained checkpoint as a Hugging Face folder: the base's, with the trained weights' bytes replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from training.errors import CheckpointError
from training.swap.checkpoint import DTYPES
from training.swap.settings import TERMS, TOKENIZER_FILES, copy_files
from training.swap.stored import Planned, Stored, find_tensors, write_tensors
from training.vocabulary.loading import FILES

SHARD_BYTES: Final = 5_000_000_000
_BESIDE: Final = ("config.json", "generation_config.json", *FILES, *TOKENIZER_FILES, *TERMS)


def write_model(base: Path, trained: Mapping[str, torch.Tensor], *, target: Path, tied: str | None) -> None:
    """Write base with `trained` [name: float32] in the base's dtypes into `target`; all else byte for byte.

    `tied`: the name of the embedding that is the output matrix as well; a file may hold it under both names.
    """
    left = dict(trained)
    planned = []
    for stored in find_tensors(base):
        head = stored.name.endswith("lm_head.weight") and tied
        value = left.pop(stored.name, None)
        if value is None and head:
            value = trained.get(head)
        planned.append(_copied(stored) if value is None else _replaced(stored, value))
    if left:
        raise CheckpointError(f"{base}: has no tensor {min(left)}, though it was trained")
    target.mkdir(parents=True, exist_ok=True)
    copy_files(base, _BESIDE, target=target)
    write_tensors(planned, folder=target, shard_bytes=SHARD_BYTES)


def _copied(stored: Stored) -> Planned:
    return Planned(stored.name, stored.dtype, stored.shape, stored.end - stored.begin, stored.read)


def _replaced(stored: Stored, value: torch.Tensor) -> Planned:
    if not torch.isfinite(value).all():
        raise CheckpointError(f"{stored.name}: training has left NaN or infinity in it; nothing is written")

    def read() -> list[memoryview]:
        return [value.to(DTYPES[stored.dtype]).contiguous().view(torch.uint8).numpy().data]

    return Planned(stored.name, stored.dtype, stored.shape, stored.end - stored.begin, read)
