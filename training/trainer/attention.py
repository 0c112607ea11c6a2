"""Attention inside of each packed piece, never across: a Hugging Face attention called "pieces".

On a GPU one varlen kernel takes all pieces. On a CPU neighbours share a span of up to SPAN positions under
one small mask: a call for each piece of 28 tokens would cost more than its sums, a mask for a whole row more
than its pieces.

Shapes: H heads, K heads of keys, N positions of all rows in one line, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from training.errors import CheckpointError

NAME: Final = "pieces"
SPAN: Final = 128  # positions that share one mask
_OTHER_ATTENTION: Final = ("softcap", "s_aux", "position_bias")  # Gemma 2's, GPT-OSS's, T5's


class Pieces:
    """Where the pieces of one forward pass lie: `lengths` in order, their sum is N.

    No dataclass: FSDP2 would take one apart to cast what is in it.
    """

    def __init__(self, lengths: Sequence[int], *, device: torch.device) -> None:
        self.lengths, self.device, self.spans = lengths, device, _spans(lengths)
        ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        self.offsets = ends.to(device)  # [pieces + 1], as the varlen kernel wants them
        self._masks: dict[tuple[int, int | None, torch.dtype], torch.Tensor] = {}

    def mask(self, span: int, *, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        """Return the span's mask [positions, positions] to be added to the scores; None: causal is all."""
        lengths = self.spans[span]
        if len(lengths) == 1 and (window is None or lengths[0] <= window):
            return None
        if window is not None and max(lengths) <= window:
            window = None
        key = span, window, dtype
        if key not in self._masks:
            piece = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
            at = torch.arange(len(piece))
            ahead = at[:, None] - at[None, :]
            seen = (piece[:, None] == piece[None, :]) & (ahead >= 0)
            if window is not None:
                seen &= ahead < window
            mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)
            self._masks[key] = mask.to(self.device)
        return self._masks[key]


def _spans(lengths: Sequence[int]) -> list[list[int]]:
    """Group neighbours until SPAN positions are full; a longer piece stands alone."""
    spans: list[list[int]] = []
    room = 0
    for length in lengths:
        if length > room:
            spans.append([])
            room = max(SPAN, length)
        spans[-1].append(length)
        room -= length
    return spans


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
    # Split, not sliced: on the way back each slice would fill a line of all N positions with zeros.
    sizes = [sum(lengths) for lengths in pieces.spans]
    found = []
    parts = [states.split(sizes, dim=2) for states in (query, key, value)]  # type: ignore[no-untyped-call]
    for number, (queries, keys, values) in enumerate(zip(*parts, strict=True)):
        mask = pieces.mask(number, window=sliding_window, dtype=query.dtype)
        found.append(
            scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, is_causal=mask is None, scale=scaling
            )
        )
    return torch.cat(found, dim=2).transpose(1, 2), None


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
