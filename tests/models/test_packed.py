"""Headers of packed shards: a good one is read whole, a damaged one is one line that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import StoreError
from models.packed import COMPANIONS, Matrix, describe, header, shard_name, shard_names
from models.shards import read_shard

ALL = [*COMPANIONS, shard_name(1, of=2), shard_name(2, of=2)]
MATRIX = Matrix(3, 5, bits=4, group=2)
PARTS: list[tuple[str, str, tuple[int, ...]]] = [
    ("norm", "BF16", (4,)), ("w.scale", "F16", (3, 3)), ("w", "U8", (3, 3)),
]  # fmt: skip
NUM_BYTES = 4 * 2 + 9 * 2 + 9


def write(folder: Path, *, parts: Any = PARTS, metadata: dict[str, str] | None = None) -> Path:
    path = folder / shard_name(1, of=1)
    told = describe({"w": MATRIX}) if metadata is None else metadata
    path.write_bytes(header(parts, metadata=told) + bytes(NUM_BYTES))
    return path


def test_a_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    shard = read_shard(write(tmp_path))
    assert shard.matrices == {"w": MATRIX}
    assert {name: (one.dtype, one.shape) for name, one in shard.tensors.items()} == {
        name: (dtype, shape) for name, dtype, shape in PARTS
    }
    assert max(one.end for one in shard.tensors.values()) == shard.path.stat().st_size
    assert min(one.begin for one in shard.tensors.values()) % 8 == 0


@pytest.mark.parametrize(
    ("matrix", "stored", "scales"),
    [
        (Matrix(3, 5, bits=8, group=2), ("I8", (3, 5)), (3, 3)),
        (Matrix(3, 5, bits=4, group=5), ("U8", (3, 3)), (3, 1)),
        (Matrix(1, 1, bits=4, group=32), ("U8", (1, 1)), (1, 1)),
        (Matrix(2, 64, bits=4, group=32), ("U8", (2, 32)), (2, 2)),
    ],
)
def test_odd_columns_and_short_groups_have_room(matrix: Matrix, stored: Any, scales: Any) -> None:
    assert (matrix.stored, matrix.scales) == (stored, scales)


def told(**changes: Any) -> dict[str, str]:
    """Return metadata of `w` with something wrong in them."""
    return {
        "packed": json.dumps(
            {"version": 1, "matrices": {"w": {"bits": 4, "group": 2, "columns": 5} | changes}}
        )
    }


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({}, "damaged, or no packed weights: KeyError"),
        ({"packed": "{"}, "damaged, or no packed weights: JSONDecodeError"),
        ({"packed": "[]"}, "damaged, or no packed weights: TypeError"),
        ({"packed": '{"version": 2, "matrices": {}}'}, "its layout is 2, this code reads 1"),
        ({"packed": '{"version": 1, "matrices": {}}'}, "w is U8, but the metadata tell nothing of it"),
        (told(bits=3), "w has 3 bits in groups of 2"),
        (told(group=0), "w has 4 bits in groups of 0"),
        (told(bits=8), r"w is U8 \[3, 3\], expected I8 \[3, 5\]"),
        (told(columns=9), r"w is U8 \[3, 3\], expected U8 \[3, 5\]"),
        (told(group=3), r"w\.scale is F16 \[3, 3\], expected F16 or F32 \[3, 2\]"),
        (told(columns="many"), "the metadata of w are damaged: ValueError"),
    ],
)
def test_wrong_metadata_are_one_line(metadata: dict[str, str], complaint: str, tmp_path: Path) -> None:
    path = write(tmp_path, metadata=metadata)
    with pytest.raises(StoreError, match=complaint) as caught:
        read_shard(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_scale_is_named(tmp_path: Path) -> None:
    parts = [("other" if name == "w.scale" else name, *rest) for name, *rest in PARTS]
    with pytest.raises(StoreError, match=r"w\.scale is missing"):
        read_shard(write(tmp_path, parts=parts))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda data: data[:-1], "cut short or damaged"),
        (lambda data: data + b"1", "cut short or damaged"),
        (lambda data: data[:40], "damaged, or no packed weights"),
        (lambda data: b"", "damaged, or no packed weights"),
        (lambda data: b"\xff" * 64, "damaged, or no packed weights: ValueError"),
        (lambda data: data.replace(b"[3,3]", b"[3,4]", 1), r"w\.scale is \[3, 4\], but has 18 bytes"),
        (lambda data: data.replace(b'"BF16"', b'"XF16"', 1), "norm is XF16, which is not known here"),
    ],
)
def test_a_damaged_shard_is_one_line(
    damage: Callable[[bytes], bytes], complaint: str, tmp_path: Path
) -> None:
    path = write(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=complaint) as caught:
        read_shard(path)
    assert "\n" not in str(caught.value)


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"weights-00001-of-00001\.safetensors: is not there"):
        read_shard(tmp_path / shard_name(1, of=1))


def test_shards_come_in_their_order_without_the_files_beside() -> None:
    assert shard_names([*reversed(ALL), "LICENSE"]) == ALL[-2:]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (COMPANIONS, "there is no shard among the files"),
        (ALL[:-1], r"weights-00002-of-00002\.safetensors is not among the files"),
        (ALL[1:], r"config\.json is not among the files"),
        ([*ALL, shard_name(3, of=3)], r"weights-00003-of-00003\.safetensors is of another set"),
    ],
)
def test_a_set_of_files_that_is_not_whole_is_told(files: list[str], complaint: str) -> None:
    with pytest.raises(StoreError, match=complaint):
        shard_names(files)
