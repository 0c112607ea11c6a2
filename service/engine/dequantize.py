"""Makes of packed weights (see models/packed.py) the one bfloat16 file that vLLM loads, block by block.

numpy alone: importing torch would take longer than the work itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.packed import ITEM_BYTES, NIBBLE_ZERO, SCALE, Matrix, header, shard_names
from models.shards import Shard, Tensor, read_shard
from models.store import StoreError

_BLOCK: Final = 2**20  # numbers at once: 4 MiB of float32
_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
}


def unpack_shards(source: Path, target: Path, *, files: Collection[str]) -> None:
    """Write model.safetensors into `target`, and copy those of `files` that are no shards.

    Raises StoreError naming the shard and the tensor that is damaged, missing or misshapen.
    """
    names = shard_names(files)
    shards = [read_shard(source / name) for name in names]
    plan = [(name, *one) for shard in shards for name, one in _contents(shard).items()]
    if twice := {name for name, _, _ in plan if sum(name == other for other, _, _ in plan) > 1}:
        raise StoreError(f"{source}: {min(twice)} is in two shards")
    plan.sort(key=lambda one: -ITEM_BYTES[one[1]])  # wide ones first, so that all are aligned
    homes = {name: shard for shard in shards for name in shard.tensors}
    with (target / "model.safetensors").open("wb") as file:
        file.write(header(plan, metadata={"format": "pt"}))
        for name, _, _ in plan:
            for block in _blocks(homes[name], name):
                block.tofile(file)
    for name in set(files).difference(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _contents(shard: Shard) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of what a shard's tensors become, by name."""
    scales = {name + SCALE for name in shard.matrices}
    plain = {name: (one.dtype, one.shape) for name, one in shard.tensors.items() if name not in scales}
    return plain | {name: ("BF16", (one.rows, one.columns)) for name, one in shard.matrices.items()}


def _blocks(shard: Shard, name: str) -> Iterator[NDArray[np.uint16] | NDArray[np.uint8]]:
    """Yield a tensor's bytes as they are served."""
    matrix, tensor = shard.matrices.get(name), shard.tensors[name]
    if matrix is None:
        yield np.fromfile(shard.path, dtype=np.uint8, count=tensor.end - tensor.begin, offset=tensor.begin)
        return
    step = max(1, _BLOCK // max(1, matrix.columns))
    for first in range(0, matrix.rows, step):
        last = min(first + step, matrix.rows)
        numbers = _rows(shard.path, tensor, first=first, last=last)
        scales = _rows(shard.path, shard.tensors[name + SCALE], first=first, last=last).astype(np.float32)
        if not np.isfinite(scales).all():
            raise StoreError(f"{shard.path}: {name}{SCALE} holds NaN or infinity")
        yield _rounded(_weights(numbers, scales=scales, matrix=matrix))


def _rows(path: Path, tensor: Tensor, *, first: int, last: int) -> NDArray[Any]:
    dtype, width = _DTYPES[tensor.dtype], tensor.shape[1]
    begin = tensor.begin + first * width * dtype.itemsize
    return np.fromfile(path, dtype=dtype, count=(last - first) * width, offset=begin).reshape(-1, width)


def _weights(numbers: NDArray[Any], *, scales: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """Return the weights [R, columns] of stored rows."""
    if matrix.bits == 4:
        halves = np.stack([numbers & 15, numbers >> 4], axis=-1).reshape(len(numbers), -1)
        numbers = halves[:, : matrix.columns].view(np.int8) - np.int8(NIBBLE_ZERO)
    wide = np.repeat(scales, matrix.group, axis=1)[:, : matrix.columns] if scales.shape[1] > 1 else scales
    return numbers.astype(np.float32) * wide


def _rounded(weights: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return finite float32 as bfloat16, rounded to the nearest, at a tie to the even one."""
    bits = np.ascontiguousarray(weights).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
