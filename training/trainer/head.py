"""The loss without the logits: they are made, used and dropped a few hundred positions at a time.

With a vocabulary of 32,768 the logits of 8,192 positions and their gradient are 2 GB in float32. As in Liger
Kernel (arXiv 2410.10989) the gradients are made on the way forwards, since the loss is a plain sum.
torch's own linear_cross_entropy sums in the dtype of the hidden states: 3 % off in bfloat16.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from training.packed.batches import IGNORED

CHUNK: Final = 512  # positions


def summed_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, *, softcap: float | None = None
) -> torch.Tensor:
    """Return the sum in nats, float32 [], over the positions whose label is not IGNORED.

    hidden [N, width], weight [vocabulary, width] of the same dtype, labels [N]. `softcap`: the bound that
    Gemma 2 puts on logits by tanh.
    """
    kept = (labels != IGNORED).nonzero()[:, 0]
    # With nothing to learn the sum is 0, but still a function of the weights: every process has to go back.
    loss: torch.Tensor = _Summed.apply(hidden[kept], weight, labels[kept], softcap)  # type: ignore[no-untyped-call]
    return loss


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, softcap: float | None
    ) -> torch.Tensor:
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for begin in range(0, len(labels), CHUNK):
            part, target = hidden[begin : begin + CHUNK], labels[begin : begin + CHUNK, None]
            logits = (part @ weight.T).float()
            if softcap:
                capped = torch.tanh(logits / softcap)
                logits = softcap * capped
            logits -= logits.amax(-1, keepdim=True)
            wanted = logits.gather(1, target)
            # In place: each pass over a new 512 * 32,768 would be 64 MB of fresh pages.
            total = logits.exp_().sum(-1, keepdim=True)
            loss += (total.log() - wanted).sum()
            if not any(ctx.needs_input_grad):
                continue
            d_logits = logits.div_(total)
            d_logits.scatter_add_(1, target, torch.full_like(target, -1, dtype=d_logits.dtype))
            if softcap:
                d_logits *= 1 - capped * capped
            d_low = d_logits.to(hidden.dtype)
            d_hidden[begin : begin + CHUNK] = d_low @ weight
            if d_weight is not None:
                d_weight += d_low.T @ part
        ctx.save_for_backward(d_hidden, None if d_weight is None else d_weight.to(weight.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        scale = grads[0]
        return (
            (d_hidden * scale.to(d_hidden.dtype)) if ctx.needs_input_grad[0] else None,
            None if d_weight is None else d_weight * scale.to(d_weight.dtype),
            None,
            None,
        )
