"""Random models, packed texts and settings that two ways of training are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from training.config import Run, Source, Tokenizer
from training.packed.batches import Batch, Feed
from training.packed.meta import create_store
from training.packed.order import Order
from training.packed.rows import open_rows
from training.packed.tokens import TokenWriter
from training.packing import pack_store
from training.samples import make_texts
from training.tokenizer import train_tokenizer
from training.vocabulary.loading import load_vocabulary

VOCABULARY = 32_768
LENGTH, BATCH_ROWS, MICRO_ROWS = 512, 8, 4
SEED = 1

SPREAD = 0.1  # of the first weights: with the usual 0.02 the loss hardly depends on what attention sees


@dataclass(frozen=True, kw_only=True)
class Case:
    """A random Llama with tied embeddings, and what of it is trained."""

    name: str
    width: int
    inner: int
    layers: int
    steps: int  # measured in each round
    rounds: int
    trainable: str = "all"


def write_store(store: Path, *, tokenizer: Path, documents: int) -> None:
    """Tokenize and pack made-up listings."""
    made = Source(name="made", made=documents, domain="listings")
    texts = [text for text, _ in make_texts(made, seed=SEED)]
    tokenizer.mkdir()
    train_tokenizer(texts, settings=Tokenizer(vocabulary=1_024, sample_mb=1), folder=tokenizer)
    vocabulary = load_vocabulary(str(tokenizer))
    meta = create_store(store, vocabulary=vocabulary, vocabulary_folder=tokenizer)
    with TokenWriter(store, domain="listings") as writer:
        for text in texts:
            writer.add([meta.bos, *vocabulary.encode(text), meta.eos])
    pack_store(store, lengths=[LENGTH], seed=SEED)


def write_base(case: Case, *, folder: Path) -> int:
    """Save the case's model in bfloat16; return its number of parameters."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=case.width,
        intermediate_size=case.inner,
        num_hidden_layers=case.layers,
        num_attention_heads=case.width // 64,
        num_key_value_heads=max(1, case.width // 128),
        initializer_range=SPREAD,
        tie_word_embeddings=True,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return int(model.num_parameters())


def run_settings(case: Case, *, steps: int) -> Run:
    """Return the settings that both take: AdamW, cosine, clipping at 1."""
    stage = {
        "name": "measured",
        "trainable": case.trainable,
        "tokens": steps * BATCH_ROWS * LENGTH,
        "batch_tokens": BATCH_ROWS * LENGTH,
        "sequence_length": LENGTH,
        "learning_rate": 3e-4,
        "micro_rows": MICRO_ROWS,
    }
    source = {"name": "made", "made": 10, "domain": "listings"}
    return Run.model_validate(
        {
            "name": "bench",
            "seed": SEED,
            "base": {"checkpoint": "base"},
            "corpus": {"sources": (source,)},
            "tracking": {"tensorboard": False},
            "training": (stage,),
        }
    )


def read_batches(store: Path, *, num: int) -> list[Batch]:
    """Return the first micro-batches in the order in which the loop reads them."""
    rows = open_rows(store, length=LENGTH)
    feed = Feed(rows, order=Order(rows.domains, weights={}, seed=SEED))
    return [feed.read(np.arange(at, at + MICRO_ROWS)) for at in range(0, num * MICRO_ROWS, MICRO_ROWS)]
