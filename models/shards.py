"""Reads what the header of a packed shard promises (see packed.py), and holds the file against it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.errors import StoreError
from models.packed import ITEM_BYTES, KEY, SCALE, VERSION, Matrix

_HEADER_BYTES: Final = 100_000_000  # the library's own bound
_FAULTS: Final = (ValueError, KeyError, TypeError, AttributeError)  # of JSON that is not as it should be


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a file: `begin` to `end` are its bytes from the file's start."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as its header tells of it; its packed matrices by name."""

    path: Path
    tensors: Mapping[str, Tensor]
    matrices: Mapping[str, Matrix]


def read_shard(path: Path) -> Shard:
    """Read a shard's header and hold it against the file and against itself. Raises StoreError."""
    try:
        told, start = _read_header(path)
        metadata = json.loads(told.pop("__metadata__")[KEY])
        tensors = {
            name: Tensor(
                one["dtype"], tuple(map(int, one["shape"])), *(start + int(at) for at in one["data_offsets"])
            )
            for name, one in told.items()
        }
        version, matrices = metadata["version"], metadata["matrices"]
    except FileNotFoundError:
        raise StoreError(f"{path}: is not there") from None
    except _FAULTS as error:
        raise StoreError(f"{path}: damaged, or no packed weights: {error!r}") from error
    if version != VERSION:
        raise StoreError(f"{path}: its layout is {version}, this code reads {VERSION}")
    for name, tensor in tensors.items():
        _check_size(tensor, name=name, path=path)
    last = max((tensor.end for tensor in tensors.values()), default=start)
    if last != (size := path.stat().st_size):
        raise StoreError(f"{path}: has {size:,} bytes, its header tells of {last:,}: cut short or damaged")
    found = {name: _matrix(name, told=one, tensors=tensors, path=path) for name, one in matrices.items()}
    packed = {part for name in found for part in (name, name + SCALE)}
    for name, tensor in tensors.items():
        if name not in packed and tensor.dtype in {"I8", "U8"}:
            raise StoreError(f"{path}: {name} is {tensor.dtype}, but the metadata tell nothing of it")
    return Shard(path, tensors, found)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header and where the data begin."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _HEADER_BYTES:
            raise ValueError(f"a header of {length:,} bytes")
        return json.loads(file.read(length)), 8 + length


def _matrix(name: str, *, told: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> Matrix:
    """Return a matrix whose two tensors are there and have its shape. Raises StoreError."""
    for part in (name, name + SCALE):
        if part not in tensors:
            raise StoreError(f"{path}: {part} is missing")
    numbers, scales = tensors[name], tensors[name + SCALE]
    try:
        found = Matrix(numbers.shape[0], int(told["columns"]), int(told["bits"]), int(told["group"]))
    except (*_FAULTS, IndexError) as error:
        raise StoreError(f"{path}: the metadata of {name} are damaged: {error!r}") from error
    if found.bits not in {4, 8} or found.group < 1:
        raise StoreError(
            f"{path}: {name} has {found.bits} bits in groups of {found.group}: 8 and 4 bits are read"
        )
    dtype, shape = found.stored
    for part, tensor, dtypes, wanted in (
        (name, numbers, {dtype}, shape),
        (name + SCALE, scales, {"F16", "F32"}, found.scales),
    ):
        if tensor.dtype not in dtypes or tensor.shape != wanted:
            raise StoreError(
                f"{path}: {part} is {tensor.dtype} {list(tensor.shape)}, "
                f"expected {' or '.join(sorted(dtypes))} {list(wanted)}"
            )
    return found


def _check_size(tensor: Tensor, *, name: str, path: Path) -> None:
    if tensor.dtype not in ITEM_BYTES:
        raise StoreError(f"{path}: {name} is {tensor.dtype}, which is not known here")
    if tensor.end - tensor.begin != ITEM_BYTES[tensor.dtype] * math.prod(tensor.shape):
        raise StoreError(
            f"{path}: {name} is {list(tensor.shape)}, but has {tensor.end - tensor.begin:,} bytes"
        )
