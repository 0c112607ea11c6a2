"""Runs of the loop on texts of which whole steps are noise, and what they come to on texts they never saw."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.training.looping import Bench
from training import loop
from training.config import Source, load_run
from training.optimization import Guard
from training.packed.batches import Feed
from training.packed.meta import create_store
from training.packed.order import Order
from training.packed.rows import open_rows
from training.packed.tokens import TokenWriter
from training.packing import pack_store
from training.recipe import Work
from training.samples import make_texts
from training.trainer.learner import empty_learner
from training.trainer.parallel import world
from training.trainer.records import curve, read_log
from training.trainer.weights import Weights
from training.vocabulary.loading import load_vocabulary

STEPS, EVERY = 72, 8  # with what is skipped less than an epoch, so noise is met once
LENGTH, BATCH_ROWS, NUM_IDS = 64, 8, 512
HELD_OUT_ROWS = 256


class Trials:
    """A base and its packed texts, and rows of other texts to compare by."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.run = load_run(self.bench.write(steps=STEPS, every=EVERY))
        vocabulary = load_vocabulary(str(self.bench.base))
        meta = create_store(folder / "other", vocabulary=vocabulary, vocabulary_folder=self.bench.base)
        other = make_texts(Source(name="made", made=400, domain="listings"), seed=2)
        with TokenWriter(folder / "other", domain="listings") as writer:
            for text, _ in other:
                writer.add([meta.bos, *vocabulary.encode(text), meta.eos])
        pack_store(folder / "other", lengths=[LENGTH], seed=3)
        rows = open_rows(folder / "other", length=LENGTH)
        feed = Feed(rows, order=Order(rows.domains, weights={}, seed=1))
        self.other = feed.read(np.arange(HELD_OUT_ROWS))

    def train(self, name: str, *, seed: int, guard: Guard, store: Path | None = None) -> float:
        """Return the loss on the other texts after a run, in nats a target."""
        run = self.run.model_copy(update={"seed": seed})
        training = run.training[0].model_copy(update={"guard": guard})
        folder = self.bench.folder / name
        folder.mkdir()
        work = Work(run, folder, {}, lambda note, done, total: None)
        loop.build(work, training=training, base=self.bench.base, store=store or self.bench.store)
        return self._loss(folder)

    @torch.no_grad()
    def _loss(self, folder: Path) -> float:
        learner = empty_learner(folder, trainable="all")
        Weights(learner, folder, precision="float32", world=world())
        batch = self.other
        ids, positions, labels = (part.flatten() for part in (batch.ids, batch.positions, batch.labels))
        summed: torch.Tensor = learner(ids, positions, labels, lengths=batch.lengths)
        return summed.item() / batch.num_targets

    def rewinds(self, name: str) -> list[dict[str, Any]]:
        """Return what a run went back on."""
        return curve(read_log(self.bench.folder / name / "log.jsonl")).rewinds

    def plant(self, *, seed: int, steps: range) -> Path:
        """Return a copy of the store in which random ids stand where these steps of the seed's order read."""
        copy = self.bench.folder / f"store-{seed}-{len(steps)}"
        shutil.copytree(self.bench.store, copy)
        rows = open_rows(copy, length=LENGTH)
        samples = np.arange(steps.start * BATCH_ROWS, steps.stop * BATCH_ROWS)
        _, numbers, _ = Order(rows.domains, weights={}, seed=seed).locate(samples)
        [path] = (copy / "tokens" / "listings").glob("*.ids")
        ids = np.memmap(path, dtype=rows.store.domains["listings"].shards[0].ids.dtype, mode="r+")
        noise = np.random.default_rng(seed)
        for number in numbers.tolist():
            for begin, size in zip(*rows.tables["listings"].row(number), strict=True):
                ids[begin + 1 : begin + size] = noise.integers(NUM_IDS, size=size - 1)
        ids.flush()
        return copy


def planted_at(seed: int) -> int:
    """Return a step in the middle of a run: the guard knows enough by then, and the run goes on after it."""
    return random.Random(seed).choice(range(30, 60))
