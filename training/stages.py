"""The recipe's stages in their order. A new one is its module, one line here, one section in config.py."""

from __future__ import annotations

from typing import Final

from training import corpus, embeddings, tokenizer
from training.recipe import Stage

STAGES: Final[tuple[Stage, ...]] = (corpus.STAGE, tokenizer.STAGE, embeddings.STAGE)
