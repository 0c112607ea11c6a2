"""Where the packed pieces lie, and how neighbours are put side by side so that small ones go together.

Shapes: N positions of all pieces in one line; B short spans of M positions in all, S in the longest; H heads,
D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

SPAN: Final = 128  # positions that neighbours share, of 64 to 192 the fastest with 96


class Pieces:
    """Where the pieces of one forward pass lie: `lengths` in order, their sum is N.

    `spans`: the pieces' lengths by span; `short`: the spans that go together, `long` those that stand alone.
    No dataclass: FSDP2 would take one apart to cast what is in it.
    """

    def __init__(self, lengths: Sequence[int], *, device: torch.device) -> None:
        self.lengths, self.device, self.spans = lengths, device, _spans(lengths)
        self.sizes = [sum(span) for span in self.spans]
        self.short = [number for number, size in enumerate(self.sizes) if size <= SPAN]
        self.long = [number for number, size in enumerate(self.sizes) if size > SPAN]
        ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        self.offsets = ends.to(device)  # [pieces + 1], as the varlen kernel wants them
        self._places = self._slots()
        self._masks: dict[tuple[int | None, int | None, torch.dtype], torch.Tensor] = {}

    def _slots(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the position [B * S] of each slot of the short spans, the slot [M] of each position.

        A padded slot shows position 0 to its like alone, and hands no gradient back.
        """
        sizes = torch.tensor([self.sizes[number] for number in self.short], dtype=torch.int64)
        at = torch.arange(max(sizes.tolist(), default=0))
        filled = at[None, :] < sizes[:, None]
        positions = torch.zeros(filled.shape, dtype=torch.int64)
        positions[filled] = torch.arange(len(slots := filled.flatten().nonzero()[:, 0]))
        return positions.flatten().to(self.device), slots.to(self.device)

    def spread(self, line: torch.Tensor) -> torch.Tensor:
        """Return [B, S, H, D] of the short spans' [M, H, D], padded."""
        there, back = self._places
        rows: torch.Tensor = _Moved.apply(line.flatten(1), there, back)  # type: ignore[no-untyped-call]
        return rows.view(len(self.short), -1, *line.shape[1:])

    def gather(self, spans: torch.Tensor) -> torch.Tensor:
        """Return [M, H, D] of [B, S, H, D]: what `spread` has spread."""
        there, back = self._places
        rows: torch.Tensor = _Moved.apply(spans.flatten(2).flatten(0, 1), back, there)  # type: ignore[no-untyped-call]
        return rows.view(-1, *spans.shape[2:])

    def mask(self, span: int, *, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        """Return a long span's mask [size, size] to be added to the scores; None: causal is all."""
        if window is None or self.sizes[span] <= window:
            return None
        return self._added(span, [self.spans[span]], window=window, dtype=dtype)[0, 0]

    def short_mask(self, *, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """Return the mask [short, 1, S, S] of the short spans, each padded to the longest, S."""
        return self._added(None, [self.spans[number] for number in self.short], window=window, dtype=dtype)

    def _added(
        self, key: int | None, spans: Sequence[Sequence[int]], *, window: int | None, dtype: torch.dtype
    ) -> torch.Tensor:
        if (key, window, dtype) not in self._masks:
            size = max(map(sum, spans))
            piece = torch.full((len(spans), size), -1)  # the padding is a piece too: no row without a score
            for row, lengths in zip(piece, spans, strict=True):
                row[: sum(lengths)] = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
            at = torch.arange(size)
            ahead = at[:, None] - at[None, :]
            seen = (piece[:, :, None] == piece[:, None, :]) & (ahead >= 0)
            if window is not None:
                seen &= ahead < window
            mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)
            self._masks[key, window, dtype] = mask[:, None].to(self.device)
        return self._masks[key, window, dtype]


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


class _Moved(torch.autograd.Function):
    """Rows taken by `there`. Their gradients are taken by `back`, where autograd would add one by one."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(back)
        return rows.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return grads[0].index_select(0, ctx.saved_tensors[0]), None, None
