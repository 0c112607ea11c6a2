"""What planted noise costs in the end: how soon it is found, and the loss on other texts beside clean runs."""

from __future__ import annotations

import contextlib
import random
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tests.bench.report import Result
from tests.training.looping import Bench
from training import loop
from training.config import Run, Source, load_run
from training.optimization import Guard
from training.packed.batches import Batch, Feed
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

SEEDS, STEPS, EVERY = 5, 72, 8  # 72 steps and what is skipped are less than an epoch
PLANTED = range(30, 60)
LENGTH, BATCH_ROWS, NUM_IDS = 64, 8, 512
KINDS = {"one step": 1, "three in a row": 3}
HELD_OUT_ROWS = 256


async def run(*, quick: bool) -> Result:
    """Train on clean texts, then on the same with steps of noise, with the guard and without it."""
    result = Result(
        compared="loss on texts that no run was trained on, after steps of random ids in a store that is else "
        f"the same, guard with its defaults or off; {STEPS} steps of {BATCH_ROWS * LENGTH} tokens, orders by "
        "seed. Differences are from the clean run of the same seed, in deviations of clean runs over the seeds"
    )
    seeds = range(1, 3 if quick else SEEDS + 1)
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        trial = Trial(Path(folder))
        clean = {seed: trial.train(f"clean-{seed}", seed=seed) for seed in seeds}
        deviation = statistics.stdev(clean.values())
        result.add("clean: loss", statistics.mean(clean.values()), "nats")
        result.add("clean: deviation over the seeds", deviation, "nats")
        result.add("clean: rewinds", sum(len(trial.rewinds(f"clean-{seed}")) for seed in seeds), "", below=1)
        for kind, num in KINDS.items():
            found = {"late": [0], "rewinds": [0], "skipped": [0], "on": [0.0], "off": [0.0]}
            found = {name: [] for name in found}
            for seed in seeds:
                planted = random.Random(seed).choice(PLANTED)
                store = trial.plant(seed=seed, steps=range(planted, planted + num))
                for action in ("rewind", "off"):
                    name = f"{kind}-{seed}-{action}"
                    loss = trial.train(name, seed=seed, store=store, off=action == "off")
                    found["off" if action == "off" else "on"].append((loss - clean[seed]) / deviation)
                    rewinds = trial.rewinds(name)
                    print(name, planted, loss - clean[seed], rewinds)
    return result


class Trial:
    """A base and its packed texts, and rows of other texts to compare by."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        vocabulary = load_vocabulary(str(self.bench.base))
        other = folder / "other"
        meta = create_store(other, vocabulary=vocabulary, vocabulary_folder=self.bench.base)
        source = Source(name="made", made=400, domain="listings")
        with TokenWriter(other, domain="listings") as writer:
            for text, _ in make_texts(source, seed=2):
                writer.add([meta.bos, *vocabulary.encode(text), meta.eos])
        pack_store(other, lengths=[LENGTH], seed=3)
        rows = open_rows(other, length=LENGTH)
        feed = Feed(rows, order=Order(rows.domains, weights={}, seed=1))
        self.other: Batch = feed.read(np.arange(HELD_OUT_ROWS))
        self.run = load_run(self.bench.write(steps=STEPS, every=EVERY))

    def train(self, name: str, *, seed: int, store: Path | None = None, off: bool = False) -> float:
        """Return the loss on the other texts after a run, in nats a target."""
        run: Run = self.run.model_copy(update={"seed": seed})
        training = run.training[0]
        if off:
            training = training.model_copy(update={"guard": Guard(action="off")})
        folder = self.bench.folder / name
        folder.mkdir()
        work = Work(run, folder, {}, lambda note, done, total: None)
        loop.build(work, training=training, base=self.bench.base, store=store or self.bench.store)
        return self.loss(folder)

    @torch.no_grad()
    def loss(self, folder: Path) -> float:
        """Return the loss of a model on the other texts."""
        learner = empty_learner(folder, trainable="all")
        weights = Weights(learner, folder, precision="float32", world=world())
        ids, positions, labels = (
            part.flatten() for part in (self.other.ids, self.other.positions, self.other.labels)
        )
        summed: torch.Tensor = weights.learner(ids, positions, labels, lengths=self.other.lengths)
        return summed.item() / self.other.num_targets

    def rewinds(self, name: str) -> list[dict]:
        """Return what a run went back on."""
        return curve(read_log(self.bench.folder / name / "log.jsonl")).rewinds

    def plant(self, *, seed: int, steps: range) -> Path:
        """Return a copy of the store in which what these steps of an order read is noise."""
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


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
