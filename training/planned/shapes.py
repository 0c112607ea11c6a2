"""The dimensions of a run's base, which a plan needs even where the checkpoint is not on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.config import Run, Shape
from training.errors import ConfigError
from training.optimization import Training

TINY: Final = Shape(
    hidden=64, layers=2, heads=2, kv_heads=1, head_size=32, intermediate=128, vocabulary=32_000, tied=False
)


def shape_of(run: Run) -> Shape:
    """Return the base's dimensions: as the file states them, else of its config.json. Raises ConfigError."""
    assert run.base
    if run.base.shape:
        return run.base.shape
    if run.base.checkpoint == "tiny":
        return TINY
    config = Path(run.data) / run.base.checkpoint / "config.json"
    if not config.is_file():
        raise ConfigError(f"base.shape: {run.base.checkpoint} is not here, so the plan needs its dimensions")
    try:
        found = json.loads(config.read_bytes())
        return shape_of_config(found.get("text_config", found))
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{config}: does not tell a decoder's dimensions: {error}; give base.shape"
        ) from error


def shape_of_config(found: Mapping[str, Any]) -> Shape:
    """Return the dimensions that a config.json tells. Raises KeyError where it is no decoder's."""
    heads = found["num_attention_heads"]
    return Shape(
        hidden=found["hidden_size"],
        layers=found["num_hidden_layers"],
        heads=heads,
        kv_heads=found.get("num_key_value_heads") or heads,
        head_size=found.get("head_dim") or found["hidden_size"] // heads,
        intermediate=found["intermediate_size"],
        vocabulary=found["vocab_size"],
        tied=found.get("tie_word_embeddings", True),
    )


def padded(vocabulary: int) -> int:
    """Return the number of rows: the next multiple of 64."""
    return -(-vocabulary // 64) * 64


def rows_of(run: Run, training: Training) -> int:
    """Return the rows of a stage's embeddings: the base's before the swap, the new vocabulary's after it."""
    if run.embeddings and run.tokenizer and training.vocabulary == "new":
        return padded(run.tokenizer.vocabulary)
    return shape_of(run).vocabulary
