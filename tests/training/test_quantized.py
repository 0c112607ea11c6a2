"""Packed weights: how far they may be off, what stays exact, how large a file becomes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.packed import SCALE, shard_name
from models.shards import read_shard
from training.errors import CheckpointError, ConfigError
from training.handover.quantized import Packed, read_packed, write_packed
from training.handover.rounding import halve, quantize, restore
from training.swap.stored import find_tensors

SHAPES = [(5, 7), (1, 1), (3, 33), (4, 64), (2, 300), (129, 31)]  # rows, columns


def weights(rows: int, columns: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.02


def pack(folder: Path, tensors: dict[str, torch.Tensor], *, bits: int = 8, shard_mb: int = 45) -> Packed:
    save_file(tensors, folder / "model.safetensors")
    return write_packed(find_tensors(folder), folder=folder, bits=bits, shard_mb=shard_mb)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("group", [1, 32, 64])
def test_no_weight_is_off_by_more_than_its_group_allows(
    rows: int, columns: int, bits: int, group: int
) -> None:
    before = weights(rows, columns)
    numbers, scales = quantize(before, bits=bits, group=group)
    after = restore(numbers, scales, group=group)
    lowest = -(2 ** (bits - 1))
    assert lowest <= int(numbers.min()) and int(numbers.max()) < -lowest
    error = allowed = 0.0
    for first in range(0, columns, group):
        ours, theirs = before[:, first : first + group], after[:, first : first + group]
        step = ours.abs().amax(1, keepdim=True) / -lowest
        off = (ours - theirs).square().sum(1, keepdim=True)
        # A number at the upper end may be a whole step off; float16 holds the step to one part in 2,048,
        # and one below 6e-5 to 3e-8, which makes 4e-6 at the lowest of 8 bits.
        assert (off <= (1.07 * step + 4e-6).square() * ours.shape[1]).all()
        error, allowed = error + float(off.sum()), allowed + float((step / 2).square().sum()) * ours.shape[1]
    assert error <= allowed  # as if each were half a step off


def test_the_scale_is_chosen_by_the_squared_error() -> None:
    before = weights(64, 256)
    plain = before.abs().amax(1, keepdim=True) / 7
    rounded = (before / plain).round() * plain
    numbers, scales = quantize(before, bits=4, group=256)
    ours = restore(numbers, scales, group=256)
    assert (ours - before).norm() < 0.9 * (rounded - before).norm()


@pytest.mark.parametrize("value", [0.0, 1e-12, 300.0])
def test_zeros_specks_and_large_numbers_stay_numbers(value: float) -> None:
    before = torch.full((2, 8), value)
    after = restore(*quantize(before, bits=8, group=4), group=4)
    assert after.isfinite().all()
    assert torch.allclose(after, before, rtol=0.01, atol=1e-7)


def test_two_numbers_share_a_byte_the_even_column_below() -> None:
    assert halve(torch.tensor([[-8, 7, 1]], dtype=torch.int8)).tolist() == [[0xF0, 0x89]]


@pytest.mark.parametrize("bits", [4, 8])
def test_a_checkpoint_comes_back_nearly_alike_and_its_norms_to_the_bit(bits: int, tmp_path: Path) -> None:
    before = {
        "model.embed_tokens.weight": weights(100, 65).bfloat16(),
        "model.norm.weight": weights(1, 65)[0].bfloat16(),
        "model.layers.0.mlp.up_proj.weight": weights(33, 65, seed=1).bfloat16(),
        "odd": weights(5, 7, seed=2),
        "steps": torch.tensor([3, 2**40]),
    }
    packed = pack(tmp_path, before, bits=bits)
    (path,) = packed.shards
    stored, shard = load_file(path), read_shard(path)
    for name in ("model.norm.weight", "steps"):
        assert torch.equal(stored[name], before[name])
        assert stored[name].dtype == before[name].dtype
    assert {name: one.bits for name, one in shard.matrices.items()} == {
        "model.embed_tokens.weight": 8, "model.layers.0.mlp.up_proj.weight": bits, "odd": bits,
    }  # fmt: skip
    assert stored["odd" + SCALE].dtype == torch.float16
    limit, found = {4: 0.13, 8: 0.012}, dict(read_packed(path))
    squares = [0.0, 0.0]
    for name, one in found.items():
        off, size = float((one - before[name].float()).norm()), float(before[name].float().norm())
        assert off / size < limit[shard.matrices[name].bits], name
        squares = [squares[0] + off**2, squares[1] + size**2]
    assert packed.relative_error == pytest.approx((squares[0] / squares[1]) ** 0.5, rel=1e-3)


def test_no_shard_is_larger_than_its_bound(tmp_path: Path) -> None:
    packed = pack(tmp_path, {f"w{i}": weights(500, 700).bfloat16() for i in range(7)}, shard_mb=1)
    assert [path.name for path in packed.shards] == [shard_name(i, of=4) for i in range(1, 5)]
    assert all(path.stat().st_size <= 1_000_000 for path in packed.shards)
    assert {name for path in packed.shards for name, _ in read_packed(path)} == {f"w{i}" for i in range(7)}


def test_a_matrix_larger_than_a_shard_is_told_before_anything_is_written(tmp_path: Path) -> None:
    large = {"a": weights(2, 2), "w": torch.zeros(1_200, 1_000, dtype=torch.bfloat16)}
    with pytest.raises(ConfigError, match=r"export\.packed_shard_mb: w alone takes 1 MB"):
        pack(tmp_path, large, shard_mb=1)
    assert not list(tmp_path.glob("weights-*"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_what_cannot_be_scaled_is_named(value: float, tmp_path: Path) -> None:
    bad = weights(4, 4)
    bad[1, 2] = value
    with pytest.raises(CheckpointError, match=r"bad\.weight holds NaN, infinity or numbers whose scale"):
        pack(tmp_path, {"bad.weight": bad})


def test_same_weights_same_bytes(tmp_path: Path) -> None:
    tensors = {"a": weights(50, 70), "b": weights(70, 50)}
    first = pack(tmp_path, tensors).shards[0].read_bytes()
    assert pack(tmp_path, tensors).shards[0].read_bytes() == first
