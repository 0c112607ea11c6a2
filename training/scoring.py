"""Bits per character: how well a model foretells texts, comparable whatever its tokenizer.

The sum of -log2 p over a text's tokens, divided by its characters. Loss per token would reward a vocabulary
for cutting texts finer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.errors import CheckpointError
from training.vocabulary.base import Vocabulary
from training.vocabulary.loading import load_vocabulary


@dataclass(frozen=True, slots=True)
class Score:
    """Bits per character over all texts; `stderr` is that of a ratio of sums over texts."""

    value: float
    stderr: float
    bits: float
    characters: int
    tokens: int


@dataclass(frozen=True, slots=True)
class _Window:
    text: int  # its place among the texts
    ids: list[int]  # the start token first
    fresh: int  # how many of them, from the end, no window before has scored


def bits_per_character(
    model_folder: Path,
    texts: Sequence[str],
    *,
    context: int = 512,
    batch_tokens: int = 2_048,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Score:
    """Score the model in a folder with its own tokenizer. Raises CheckpointError, TokenizerError."""
    from transformers import AutoModelForCausalLM

    vocabulary = load_vocabulary(str(model_folder))
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=dtype)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{model_folder}: no model that transformers can load: {error}") from error
    return score(
        model.to(device).eval(), texts, vocabulary=vocabulary, context=context, batch_tokens=batch_tokens
    )


@torch.inference_mode()
def score(
    model: Any, texts: Sequence[str], *, vocabulary: Vocabulary, context: int, batch_tokens: int
) -> Score:
    """Score a loaded model. A text is foretold from BOS on, or from EOS where the vocabulary has no BOS.

    A text of more than `context` tokens is read in windows that overlap by half, so that what is scored has
    at least half a context behind it. `batch_tokens` bounds the positions of one forward pass, but for one
    window that is larger.
    """
    start = vocabulary.roles.get("bos", vocabulary.roles.get("eos"))
    if start is None:
        raise CheckpointError(f"{vocabulary.name}: has neither BOS nor EOS to foretell a text from")
    windows = [
        window
        for i, text in enumerate(texts)
        for window in _windows(vocabulary.encode(text), text=i, start=start, context=context)
    ]
    bits = [0.0] * len(texts)
    for batch in _batches(windows, batch_tokens=batch_tokens):
        longest = max(len(window.ids) for window in batch)
        # Filled up on the right, where attention to the past alone never looks.
        ids = torch.tensor([window.ids + [start] * (longest - len(window.ids)) for window in batch])
        logits = model(input_ids=ids.to(model.device), use_cache=False).logits
        for window, row in zip(batch, logits, strict=True):
            last = len(window.ids)
            foretold = row[last - 1 - window.fresh : last - 1].float()
            actual = torch.tensor(window.ids[last - window.fresh :], device=foretold.device)
            nats = torch.nn.functional.cross_entropy(foretold, actual, reduction="sum")
            bits[window.text] += float(nats) / math.log(2)
    return _summed(bits, [len(text) for text in texts], tokens=sum(window.fresh for window in windows))


def _windows(ids: list[int], *, text: int, start: int, context: int) -> Iterator[_Window]:
    room = context - 1  # beside the start token
    scored = 0
    while scored < len(ids):
        end = min(len(ids), max(room, scored + context // 2))
        yield _Window(text, [start, *ids[max(0, end - room) : end]], end - scored)
        scored = end


def _batches(windows: list[_Window], *, batch_tokens: int) -> Iterator[list[_Window]]:
    """Yield windows of like length together, the longest first: what is too large fails at once."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: -len(window.ids)):
        if batch and (len(batch) + 1) * len(batch[0].ids) > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _summed(bits: list[float], characters: list[int], *, tokens: int) -> Score:
    total = sum(characters)
    if not total:
        raise CheckpointError("there are no characters to score")
    value = sum(bits) / total
    squares = sum((b - value * c) ** 2 for b, c in zip(bits, characters, strict=True))
    count = len(bits)
    stderr = math.sqrt(squares * count / (count - 1)) / total if count > 1 else math.nan
    return Score(value, stderr, sum(bits), total, tokens)
