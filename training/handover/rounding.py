"""Weights rounded to 8 or 4 bits: of a few scales for each group of columns the one with the least error.

Shapes: R rows, C columns, G groups of a row, W columns in a group.
"""

from __future__ import annotations

from typing import Final

import torch

from models.packed import NIBBLE_ZERO, Matrix

# The scale lays the group's extreme on the lowest number (-128, -8), times one of these: above 1 the extreme
# has room to spare, below 1 it is cut off for the sake of the others.
_FACTORS: Final = {8: (1.0, 0.97, 0.93, 0.88), 4: (1.14, 1.07, 1.0, 0.94, 0.88, 0.82, 0.76)}


def quantize(weights: torch.Tensor, *, bits: int, group: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int8 numbers [R, C] and float16 scales [R, G] of float32 weights [R, C].

    The scale of a group that holds no finite numbers, or too large ones for it, is infinite.
    """
    rows, columns = weights.shape
    whole = torch.nn.functional.pad(weights, (0, -columns % group)).reshape(rows, -1, group)  # [R, G, W]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    extreme = whole.gather(-1, whole.abs().argmax(-1, keepdim=True))  # [R, G, 1], with its sign
    best = torch.full_like(extreme, torch.inf)
    scale, numbers = torch.full_like(extreme, torch.inf), torch.zeros_like(whole)
    for factor in _FACTORS[bits]:
        tried = (extreme * (factor / low)).half().float()  # as it is stored
        found = (whole / torch.where(tried == 0, 1.0, tried)).round().clamp(low, high)
        error = (found * tried - whole).square().sum(-1, keepdim=True)
        better = error < best
        best = torch.where(better, error, best)
        scale = torch.where(better, tried, scale)
        numbers = torch.where(better, found, numbers)
    return numbers.reshape(rows, -1)[:, :columns].to(torch.int8), scale.squeeze(-1).half()


def restore(numbers: torch.Tensor, scales: torch.Tensor, *, group: int) -> torch.Tensor:
    """Return the float32 weights [R, C] of numbers [R, C] and scales [R, G]."""
    return numbers.float() * scales.float().repeat_interleave(group, dim=1)[:, : numbers.shape[1]]


def halve(numbers: torch.Tensor) -> torch.Tensor:
    """Return 4-bit numbers [R, C] two to a byte, [R, ceil(C / 2)]: the even column in the lower half."""
    stored = (torch.nn.functional.pad(numbers, (0, numbers.shape[1] % 2)) + NIBBLE_ZERO).to(torch.uint8)
    return stored[:, 0::2] | (stored[:, 1::2] << 4)


def unhalve(stored: torch.Tensor, *, matrix: Matrix) -> torch.Tensor:
    """Return what `halve` was given."""
    halves = torch.stack((stored & 15, stored >> 4), -1).reshape(matrix.rows, -1)
    return halves[:, : matrix.columns].to(torch.int8) - NIBBLE_ZERO
