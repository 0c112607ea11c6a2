"""Attention inside of each packed piece, never across: a Hugging Face attention called "pieces".

On a GPU one varlen kernel takes all pieces. On a CPU neighbours share a span, and the spans go together,
padded, under small masks: a call for each piece of 28 tokens would cost more than its sums, a mask for a row
of documents more than they do.

Shapes: H heads, K heads of keys, N positions of all rows in one line, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from training.errors import CheckpointError
from training.trainer.pieces import Pieces

NAME: Final = "pieces"
_OTHER_ATTENTION: Final = ("softcap", "s_aux", "position_bias")  # Gemma 2's, GPT-OSS's, T5's


@torch.compiler.disable  # type: ignore[untyped-decorator]
def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    pieces: Pieces,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Return [1, N, H, D] of query [1, H, N, D], key and value [1, K, N, D]; `attention_mask` is always None.

    Raises CheckpointError for an attention that would be another with what the model asks for.
    """
    assert attention_mask is None, "positions and pieces say all that a mask would"
    if other := [name for name in _OTHER_ATTENTION if others.get(name) is not None]:
        raise CheckpointError(
            f"{type(module).__name__} asks for {other[0]}, which packed attention does not do"
        )
    if query.is_cuda and query.dtype is not torch.float32:
        return _varlen(query, key, value, scaling=scaling, window=sliding_window, pieces=pieces), None
    if (groups := query.shape[1] // key.shape[1]) > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    line = [_spans(states, sizes=pieces.sizes) for states in (query, key, value)]
    found: dict[int, torch.Tensor] = {}
    for number in pieces.long:
        alone = [states[number].transpose(0, 1)[None] for states in line]
        mask = pieces.mask(number, window=sliding_window, dtype=query.dtype)
        out = scaled_dot_product_attention(
            alone[0], alone[1], alone[2], attn_mask=mask, is_causal=mask is None, scale=scaling
        )
        found[number] = out[0].transpose(0, 1)
    if pieces.short:
        short = [torch.cat([states[number] for number in pieces.short]) for states in line]
        together = _together(short, window=sliding_window, scaling=scaling, pieces=pieces)
        parts = torch.split(together, [pieces.sizes[number] for number in pieces.short])
        found |= zip(pieces.short, parts, strict=True)
    return torch.cat([found[number] for number in range(len(found))])[None], None


def _spans(states: torch.Tensor, *, sizes: Sequence[int]) -> Sequence[torch.Tensor]:
    """Return [size, H, D] of each span. Split, not sliced: each slice's gradient would be a line of all N."""
    return torch.split(states[0].transpose(0, 1), list(sizes))


def _together(
    line: Sequence[torch.Tensor], *, window: int | None, scaling: float | None, pieces: Pieces
) -> torch.Tensor:
    """Return [M, H, D] of query, key and value [M, H, D]: the short spans one after the other, B in all.

    Written out, since PyTorch's fused kernel for a CPU took 2.4 times as long on such spans of 64 to 128.
    """
    query, key, value = (pieces.spread(states).transpose(1, 2) for states in line)  # [B, H, S, D]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scale) @ key.transpose(-1, -2)  # [B, H, S, S]
    scores = scores + pieces.short_mask(window=window, dtype=scores.dtype)
    out = scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value
    return pieces.gather(out.transpose(1, 2))


def _varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float | None,
    window: int | None,
    pieces: Pieces,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    longest = max(pieces.lengths)
    line = [states[0].transpose(0, 1).contiguous() for states in (query, key, value)]
    back = -1 if window is None else window - 1
    out = varlen_attn(
        line[0],
        line[1],
        line[2],
        pieces.offsets,
        pieces.offsets,
        longest,
        longest,
        scale=scaling,
        window_size=(back, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(out, torch.Tensor)
    return out.unsqueeze(0)


AttentionInterface.register(NAME, attend)
