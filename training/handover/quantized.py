"""Shards of packed weights, as models/packed.py describes: written block by block, and read back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import torch

from models.packed import ITEM_BYTES, SCALE, Matrix, describe, header, shard_name
from models.shards import read_shard
from training.errors import CheckpointError, ConfigError
from training.handover.rounding import halve, quantize, restore, unhalve
from training.swap.checkpoint import DTYPES, open_rows
from training.swap.stored import Stored

# Columns that share a scale. Relative error on 128 rows of Gemma 3 270M's embedding, 8 bits: 0.016 by rows,
# 0.012 in groups of 320, 0.009 of 128, 0.007 of 64; of its down_proj 0.012, 0.009, 0.008, 0.007, and 0.087
# with 4 bits in groups of 32. These bring 121M weights with a tokenizer of 2.1 MB to 124.8 MB; 256 to 125.04.
GROUPS: Final = {8: 320, 4: 32}
WIDE_GROUP: Final = 64
_WIDE: Final = ("embed_tokens.weight", "lm_head.weight")  # 8 bits always: all that is known of a token
_BLOCK: Final = 2**20  # numbers quantized at once: some 30 MB
_MB: Final = 1_000_000
_HEADER_BYTES: Final = 400  # that a tensor and its scales take in the header at most, beside the name
_NUMPY: Final = {"I8": "i1", "U8": "u1", "F16": "<f2", "F32": "<f4"}


@dataclass(frozen=True, slots=True)
class Packed:
    """The shards, and the root of the squared error over all matrices as a share of the weights' own."""

    shards: list[Path]
    relative_error: float


def write_packed(tensors: Sequence[Stored], *, folder: Path, bits: int, shard_mb: int) -> Packed:
    """Write the shards into `folder`; `bits` is of the matrices that are neither embedding nor head.

    Raises ConfigError where one tensor alone is larger than a shard, CheckpointError for what is no weight.
    """
    for tensor in tensors:
        if tensor.dtype not in ITEM_BYTES:
            raise CheckpointError(f"{tensor.file}: {tensor.name} is {tensor.dtype}, which cannot be packed")
    shards = _divided(tensors, bits=bits, shard_mb=shard_mb)
    paths, error, size = [], 0.0, 0.0
    for number, shard in enumerate(shards, start=1):
        paths.append(folder / shard_name(number, of=len(shards)))
        with paths[-1].open("wb") as file:
            for squared, whole in _write(shard, bits=bits, file=file):
                error, size = error + squared, size + whole
    return Packed(paths, math.sqrt(error / size) if size else 0.0)


def read_packed(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the packed matrices of a shard by name, [rows, columns] in float32."""
    shard = read_shard(path)
    with path.open("rb") as file:
        for name, matrix in shard.matrices.items():
            parts = []
            for one in (shard.tensors[name], shard.tensors[name + SCALE]):
                file.seek(one.begin)
                data = np.frombuffer(file.read(one.end - one.begin), dtype=_NUMPY[one.dtype])
                parts.append(torch.from_numpy(data.reshape(one.shape).copy()))
            numbers = parts[0] if matrix.bits == 8 else unhalve(parts[0], matrix=matrix)
            yield name, restore(numbers, parts[1], group=matrix.group)


def _matrix(tensor: Stored, *, bits: int) -> Matrix | None:
    """Return how a tensor is packed; None where it stays as it is."""
    if len(tensor.shape) != 2 or tensor.dtype not in DTYPES or not all(tensor.shape):
        return None
    wide = tensor.name.endswith(_WIDE)
    group = min(WIDE_GROUP if wide else GROUPS[bits], tensor.shape[1])
    return Matrix(*tensor.shape, bits=8 if wide else bits, group=group)


def _parts(tensor: Stored, *, bits: int) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return name, dtype and shape of what a tensor is stored as."""
    matrix = _matrix(tensor, bits=bits)
    if matrix is None:
        return [(tensor.name, tensor.dtype, tensor.shape)]
    return [(tensor.name, *matrix.stored), (tensor.name + SCALE, "F16", matrix.scales)]


def _divided(tensors: Sequence[Stored], *, bits: int, shard_mb: int) -> list[list[Stored]]:
    shards: list[list[Stored]] = [[]]
    filled = 0
    for tensor in tensors:
        size = sum(ITEM_BYTES[dtype] * math.prod(shape) for _, dtype, shape in _parts(tensor, bits=bits))
        size += 3 * len(tensor.name.encode()) + _HEADER_BYTES
        if size > shard_mb * _MB:
            told = f"{tensor.name} alone takes {size / _MB:.0f} MB, a shard may have {shard_mb}"
            raise ConfigError(f"export.packed_shard_mb: {told}")
        if shards[-1] and filled + size > shard_mb * _MB:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size
    return shards


def _write(tensors: Sequence[Stored], *, bits: int, file: IO[bytes]) -> Iterator[tuple[float, float]]:
    """Write a shard; yield the squared error and the squares of each block. Wide dtypes lie first."""
    parts = [part for tensor in tensors for part in _parts(tensor, bits=bits)]
    parts.sort(key=lambda part: (-ITEM_BYTES[part[1]], part[0]))
    matrices = {one.name: matrix for one in tensors if (matrix := _matrix(one, bits=bits))}
    at = file.write(header(parts, metadata=describe(matrices)))
    places = {}
    for name, dtype, shape in parts:
        places[name] = at
        at += ITEM_BYTES[dtype] * math.prod(shape)

    def put(name: str, data: bytes) -> None:
        file.seek(places[name])
        places[name] += file.write(data)

    for tensor in tensors:
        if (matrix := matrices.get(tensor.name)) is None:
            for data in tensor.read():
                put(tensor.name, data)
            continue
        for weights, numbers, scales in _quantized(tensor, matrix):
            stored = halve(numbers) if matrix.bits == 4 else numbers
            put(tensor.name, stored.contiguous().numpy().tobytes())
            put(tensor.name + SCALE, scales.numpy().tobytes())
            error = restore(numbers, scales, group=matrix.group) - weights
            yield _squared(error), _squared(weights)


def _squared(numbers: torch.Tensor) -> float:
    return float(numbers.square().sum(dtype=torch.float64))


def _quantized(tensor: Stored, matrix: Matrix) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield weights, numbers and scales, some rows at a time. Raises CheckpointError."""
    rows = open_rows(tensor)
    step = max(1, _BLOCK // matrix.columns)
    for first in range(0, matrix.rows, step):
        weights = rows(np.arange(first, min(first + step, matrix.rows)))
        numbers, scales = quantize(weights, bits=matrix.bits, group=matrix.group)
        if not scales.isfinite().all():
            told = "holds NaN, infinity or numbers whose scale no float16 holds"
            raise CheckpointError(f"{tensor.file}: {tensor.name} {told}")
        yield weights, numbers, scales
