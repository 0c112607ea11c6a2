"""The weights as they are served: bfloat16, in shards, rounded once from what was trained.

A run trains in float32 and computes in bfloat16; of a float32 folder vLLM would read twice the bytes and
round them at every start. Chunk by chunk, so that a 7B costs no memory.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from training.errors import CheckpointError
from training.swap.checkpoint import DTYPES
from training.swap.stored import Planned, Stored, write_tensors

SERVED: Final = "BF16"
_CHUNK: Final = 2**22  # numbers: 16 MiB of float32
_MB: Final = 1_000_000


def write_weights(tensors: Sequence[Stored], *, folder: Path, shard_mb: int) -> list[Path]:
    """Write the tensors as bfloat16 shards and return these. Raises CheckpointError for NaN and infinity."""
    planned = [
        Planned(one.name, SERVED, one.shape, (one.end - one.begin) // _size(one) * 2, read=_reader(one))
        if one.dtype in DTYPES
        else Planned(one.name, one.dtype, one.shape, one.end - one.begin, read=one.read)
        for one in tensors
    ]
    return write_tensors(planned, folder=folder, shard_bytes=shard_mb * _MB)


def check_equal(loaded: Mapping[str, torch.Tensor], *, tensors: Sequence[Stored]) -> None:
    """Raise CheckpointError where a loaded model's tensor is not what was trained, rounded to bfloat16."""
    for tensor in tensors:
        found = loaded.get(tensor.name)
        if found is None:
            raise CheckpointError(f"{tensor.file}: transformers loads no {tensor.name}: it would be lost")
        flat = found.detach().cpu().reshape(-1)
        if tuple(found.shape) != tensor.shape or not all(
            torch.equal(flat[at : at + len(part)], part) for at, part in _served(tensor)
        ):
            raise CheckpointError(
                f"{tensor.file}: {tensor.name} is not what transformers loads after the export"
            )


def _size(tensor: Stored) -> int:
    return DTYPES[tensor.dtype].itemsize


def _reader(tensor: Stored) -> functools.partial[Iterator[memoryview]]:
    return functools.partial(_bytes, tensor)


def _bytes(tensor: Stored) -> Iterator[memoryview]:
    for _, part in _served(tensor):
        yield part.view(torch.uint8).numpy().data


def _served(tensor: Stored) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield a tensor's numbers flat, with the place of each part's first one."""
    dtype = DTYPES[tensor.dtype]
    bits = np.dtype(f"i{dtype.itemsize}")  # numpy has no bfloat16
    count = (tensor.end - tensor.begin) // dtype.itemsize
    if not count:
        return
    numbers = np.memmap(tensor.file, dtype=bits, mode="r", offset=tensor.begin, shape=(count,))
    for at in range(0, count, _CHUNK):
        part = torch.from_numpy(np.array(numbers[at : at + _CHUNK])).view(dtype).to(torch.bfloat16)
        if not part.isfinite().all():
            raise CheckpointError(
                f"{tensor.file}: {tensor.name} holds NaN or infinity: go back to an earlier checkpoint"
            )
        yield at, part
