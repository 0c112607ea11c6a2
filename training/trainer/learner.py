"""A Hugging Face decoder as the loop sees it: token ids in, the summed loss out, some weights frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import init_empty_weights
from torch import nn

from training.errors import CheckpointError
from training.optimization import Trainable
from training.trainer.attention import NAME
from training.trainer.head import summed_cross_entropy
from training.trainer.pieces import Pieces

PREFIX: Final = "model."  # of the learner's parameters before their names in the checkpoint
_OTHER_LOGITS: Final = ("logit_scale", "logits_scaling")  # Cohere, Granite: their loss would be another


class Learner(nn.Module):
    """Shapes: N positions of all rows in one line."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        config = model.config.get_text_config()
        self.softcap = getattr(config, "final_logit_softcapping", None)

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, labels: torch.Tensor, *, lengths: Sequence[int]
    ) -> torch.Tensor:
        """Return the summed cross entropy [] in nats of ids, positions, labels [N]; `lengths` of pieces."""
        decoder = getattr(self.model, self.model.base_model_prefix)
        hidden = decoder(
            input_ids=ids[None],
            position_ids=positions[None],
            use_cache=False,
            pieces=Pieces(lengths, device=ids.device),
        ).last_hidden_state[0]
        return summed_cross_entropy(hidden, self.head, labels, softcap=self.softcap)

    @property
    def head(self) -> torch.Tensor:
        """Return the output matrix [vocabulary, width]; tied, it is the embedding."""
        weight: torch.Tensor = self.model.get_output_embeddings().weight
        return weight

    @property
    def layers(self) -> Iterator[nn.Module]:
        """Yield the decoder's layers: what is sharded, recomputed and compiled one by one."""
        layers: nn.ModuleList = getattr(self.model, self.model.base_model_prefix).layers
        yield from layers

    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield each parameter once, under its name in the checkpoint."""
        for name, parameter in self.named_parameters():
            yield name.removeprefix(PREFIX), parameter


def empty_learner(folder: Path, *, trainable: Trainable) -> Learner:
    """Return the model of a folder with its weights on the meta device, frozen but for what is trained.

    Raises CheckpointError where transformers does not know the architecture, or its loss is not ours.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder)
        text = config.get_text_config()
        with init_empty_weights(include_buffers=False):  # the rotary frequencies are computed, not stored
            model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, attn_implementation=NAME, dtype=torch.float32
            )
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: no model that transformers can make: {error}") from error
    if other := [key for key in _OTHER_LOGITS if getattr(text, key, None) not in (None, 1, 1.0)]:
        raise CheckpointError(
            f"{folder}: {text.model_type} scales its logits ({other[0]}), which the loss does not"
        )
    model.tie_weights()
    learner = Learner(model)
    matrices = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    for _, parameter in learner.named_weights():
        parameter.requires_grad_(trainable == "all" or id(parameter) in matrices)
    return learner.train()
