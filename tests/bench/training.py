"""How fast the loop trains, beside the Hugging Face Trainer on the same model, rows and batches, in turns."""

from __future__ import annotations

import itertools
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from tests.bench.other_trainer import train
from tests.bench.report import Result
from tests.bench.small_trainings import (
    BATCH_ROWS,
    LENGTH,
    MICRO_ROWS,
    VOCABULARY,
    Case,
    read_batches,
    run_settings,
    write_base,
    write_store,
)
from training import loop
from training.config import Run
from training.recipe import Work
from training.trainer.records import curve, read_log
from training.trainer.telling import LOG

SKIPPED = 2  # first steps of each round, in which both fill their caches

SMALL = {"width": 256, "inner": 1_024, "layers": 10, "rounds": 3, "steps": 4}
CASES = (
    Case(name="18M", **SMALL),
    Case(name="18M, embeddings alone", **SMALL, trainable="embeddings"),
    Case(name="58M", width=512, inner=1_536, layers=13, rounds=2, steps=2),
)


async def run(*, quick: bool) -> Result:
    """Train each model a few steps by one, then by the other, several times over."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # the Trainer warns at every step of the process group that ours has made
    result = Result(
        compared=f"our loop against the Trainer of transformers with sdpa, both in bf16 on {BATCH_ROWS} "
        f"packed rows of {LENGTH} a step, {MICRO_ROWS} at a time; made-up listings, random Llamas with "
        f"{VOCABULARY:,} tied embeddings; medians of rounds in turns without their first {SKIPPED} steps"
    )
    with tempfile.TemporaryDirectory() as name:
        tokenizer, store = Path(name) / "tokenizer", Path(name) / "store"
        write_store(store, tokenizer=tokenizer, documents=2_000)
        for number, case in enumerate(CASES[:2] if quick else CASES):
            folder = Path(name) / str(number)
            compare(result, case, folder=folder, store=store, rounds=1 if quick else case.rounds)
    result.details["threads"] = torch.get_num_threads()
    return result


def compare(result: Result, case: Case, *, folder: Path, store: Path, rounds: int) -> None:
    """Add what both make of the first batch, tokens a second of both, and how many times as many ours are."""
    base, steps = folder / "base", SKIPPED + case.steps
    result.details[f"{case.name}: parameters"] = write_base(case, folder=base)
    batches = read_batches(store, num=steps * BATCH_ROWS // MICRO_ROWS)
    ours, theirs, first = [], [], (0.0, 0.0)
    for number in range(rounds):
        settings = run_settings(case, steps=steps)
        mine = _ours(settings, base=base, store=store, folder=folder / f"round-{number}")
        other = train(base, batches, settings=settings.training[0], folder=folder / "trainer")
        ours.append(BATCH_ROWS * LENGTH / statistics.median(mine[1][SKIPPED - 1 :]))
        theirs.append(BATCH_ROWS * LENGTH / statistics.median(other[1][SKIPPED - 1 :]))
        first = mine[0][0], other[0][0]
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    result.add(f"{case.name}: loss of the first batch", first[0], "nats")
    result.add(f"{case.name}: the Trainer's differs by", abs(first[0] - first[1]), "nats", below=0.005)
    result.add(f"{case.name}: ours", statistics.median(ours), "tokens/s")
    result.add(f"{case.name}: Trainer", statistics.median(theirs), "tokens/s")
    result.add(f"{case.name}: ours / Trainer", statistics.median(ratios), "times", least=1.2)
    result.details[f"{case.name}: ratios"] = [round(ratio, 3) for ratio in ratios]


def _ours(settings: Run, *, base: Path, store: Path, folder: Path) -> tuple[list[float], list[float]]:
    """Return losses, and from the second step on seconds of the loop's steps, log and guard included."""
    folder.mkdir()
    work = Work(settings, folder, {}, lambda note, done, total: None)
    figures: dict[str, Any] = loop.build(work, training=settings.training[0], base=base, store=store)
    assert figures["steps"] == settings.training[0].num_steps
    steps = curve(read_log(folder / LOG)).steps
    ends = [step["time"] for step in steps]
    return [step["loss"] for step in steps], [b - a for a, b in itertools.pairwise(ends)]
