"""How weights lie in a checkpoint that ships: 8 or 4 bits a number, a scale for each group of columns.

Shards are called weights-00001-of-0000N.safetensors. A packed matrix [rows, columns] is two tensors of one
shard; every other tensor lies there as it is:

NAME         8 bits: I8 [rows, columns]
             4 bits: U8 [rows, ceil(columns / 2)], each number as number + 8, the even column in the lower
             half of the byte; behind an odd last column the upper half is 8, which is zero
NAME.scale   F16 or F32 [rows, ceil(columns / group)]; the last group may be shorter; may be negative

A weight is its number * the scale of its row and group, multiplied in float32 and rounded once. The header's
`__metadata__` has under "packed" a JSON object, {"version": 1, "matrices": {NAME: {"bits", "group",
"columns"}}}, with every matrix of this shard. training writes this, service reads it, neither by a library.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.errors import StoreError

VERSION: Final = 1
KEY: Final = "packed"
SCALE: Final = ".scale"
NIBBLE_ZERO: Final = 8  # what zero is stored as where a number has four bits
COMPANIONS: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")  # no model without them
ITEM_BYTES: Final = {"BOOL": 1, "I8": 1, "U8": 1, "F16": 2, "BF16": 2, "F32": 4, "I32": 4, "I64": 8}

_SHARD: Final = re.compile(r"weights-(\d{5})-of-(\d{5})\.safetensors")


@dataclass(frozen=True, slots=True)
class Matrix:
    """A packed matrix; `group` columns of a row share a scale."""

    rows: int
    columns: int
    bits: int
    group: int

    @property
    def stored(self) -> tuple[str, tuple[int, int]]:
        """Return dtype and shape of the numbers."""
        return (
            ("I8", (self.rows, self.columns))
            if self.bits == 8
            else ("U8", (self.rows, -(-self.columns // 2)))
        )

    @property
    def scales(self) -> tuple[int, int]:
        """Return the shape of the scales."""
        return self.rows, -(-self.columns // self.group)


def shard_name(number: int, *, of: int) -> str:
    """Return the name of a shard, counted from 1."""
    return f"weights-{number:05d}-of-{of:05d}.safetensors"


def shard_names(files: Collection[str]) -> list[str]:
    """Return the shards among a checkpoint's files, in order. Raises StoreError where one is missing."""
    found = sorted(name for name in files if _SHARD.fullmatch(name))
    if not found:
        raise StoreError(f"there is no shard among the files, such as {shard_name(1, of=1)}")
    count = int(found[0].removesuffix(".safetensors").rpartition("-")[2])
    wanted = [*COMPANIONS, *(shard_name(number, of=count) for number in range(1, count + 1))]
    if lost := [name for name in wanted if name not in files]:
        raise StoreError(f"{lost[0]} is not among the files")
    if extra := sorted(set(found).difference(wanted)):
        raise StoreError(f"{extra[0]} is of another set than {found[0]}")
    return found


def header(tensors: Iterable[tuple[str, str, tuple[int, ...]]], *, metadata: Mapping[str, str]) -> bytes:
    """Return the head of a safetensors file whose data are the tensors (name, dtype, shape) in this order."""
    told: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    for name, dtype, shape in tensors:
        offsets = [at, at := at + ITEM_BYTES[dtype] * math.prod(shape)]
        told[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    text = json.dumps(told, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text


def describe(matrices: Mapping[str, Matrix]) -> dict[str, str]:
    """Return the metadata of a shard with these matrices."""
    told = {name: {"bits": m.bits, "group": m.group, "columns": m.columns} for name, m in matrices.items()}
    return {KEY: json.dumps({"version": VERSION, "matrices": told}, separators=(",", ":"))}
