"""The export read back by transformers: its weights held against what was trained, and its greedy answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from training.errors import CheckpointError
from training.handover.questions import CHATS, NUM_TOKENS, TEXTS, Answer
from training.handover.tokens import load_tokenizer, rendered_chat

_KINDS: Final = ("missing_keys", "unexpected_keys", "mismatched_keys")


def load_model(folder: Path) -> Any:
    """Return the model in bfloat16. Raises CheckpointError for a missing, unknown or misshapen weight."""
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=torch.bfloat16, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(f"{folder}: transformers cannot load it: {error}") from error
    model, told = loaded
    for kind in _KINDS:
        if told[kind]:
            names = ", ".join(sorted(map(str, told[kind]))[:3])
            raise CheckpointError(f"{folder}: transformers finds {kind.replace('_', ' ')}: {names}")
    return model


def greedy_answers(model: Any, *, folder: Path) -> list[Answer]:
    """Return the answers to all questions, in float32, on the GPU if there is one. `model` is changed."""
    tokenizer = load_tokenizer(folder)
    prompts = [tokenizer(text)["input_ids"] for text in TEXTS]
    prompts += [rendered_chat(tokenizer, chat, tokenize=True) for chat in CHATS]
    model = model.float().to("cuda" if torch.cuda.is_available() else "cpu").eval()
    ends = model.generation_config.eos_token_id
    pad = model.generation_config.pad_token_id
    # Only what ends an answer: a base's temperature or top_k would be warned of beside greedy decoding.
    only: Any = GenerationConfig
    model.generation_config = only(eos_token_id=ends, pad_token_id=0 if pad is None else pad)
    return [_answer(model, prompt) for prompt in prompts]


def _answer(model: Any, prompt: Sequence[int]) -> Answer:
    ids = torch.tensor([list(prompt)], device=model.device)
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NUM_TOKENS,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    best = torch.stack(found.logits)[:, 0].topk(2)
    return Answer(
        prompt=list(prompt),
        answer=found.sequences[0, len(prompt) :].tolist(),
        runners_up=best.indices[:, 1].tolist(),
        leads=(best.values[:, 0] - best.values[:, 1]).tolist(),
    )
