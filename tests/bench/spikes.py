"""What steps of noise cost in the end: how soon they are found, the loss on other texts beside clean runs."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.bench.planted_noise import BATCH_ROWS, LENGTH, STEPS, Trials, planted_at
from tests.bench.report import Result
from training.optimization import Guard

SEEDS = 5
KINDS = {"one step": 1, "three steps in a row": 3}


@dataclass
class Found:
    """What came of one kind of noise, a value a seed; differences in nats from the seed's clean run."""

    late: list[int] = field(default_factory=list)  # steps from the planted one to where the first was found
    rewinds: list[int] = field(default_factory=list)
    skipped: list[float] = field(default_factory=list)  # steps of data
    guarded: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)


async def run(*, quick: bool) -> Result:
    """Train on clean texts, then on the same with steps of noise, with the guard and without it."""
    result = Result(
        compared="loss on texts that no run was trained on, after steps of random ids in a store that is "
        f"else the same, the guard with its defaults or off; {STEPS} steps of {BATCH_ROWS * LENGTH} tokens, "
        "orders by seed. Differences: from the clean run of the same seed, the largest of all seeds, in "
        "standard deviations of the clean runs over the seeds"
    )
    seeds = range(1, 3 if quick else SEEDS + 1)
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        trials = Trials(Path(folder))
        clean = {seed: trials.train(f"clean-{seed}", seed=seed, guard=Guard()) for seed in seeds}
        deviation = statistics.stdev(clean.values())
        result.add("clean: loss", statistics.mean(clean.values()), "nats")
        result.add("clean: standard deviation", deviation, "nats")
        result.add("clean: rewinds", sum(len(trials.rewinds(f"clean-{seed}")) for seed in seeds), "", below=1)
        for kind, num in KINDS.items():
            found = Found()
            for seed, loss in clean.items():
                measure(
                    trials,
                    seed=seed,
                    steps=range(planted_at(seed), planted_at(seed) + num),
                    found=found,
                    clean=loss,
                )
            add(result, kind, found, deviation=deviation)
        result.details["planted at step, by seed"] = [planted_at(seed) for seed in seeds]
    return result


def measure(trials: Trials, *, seed: int, steps: range, clean: float, found: Found) -> None:
    """Run a seed with noise in these steps, guarded and not."""
    store, name = trials.plant(seed=seed, steps=steps), f"{seed}-{len(steps)}"
    found.guarded.append(trials.train(name, seed=seed, guard=Guard(), store=store) - clean)
    found.off.append(trials.train(f"{name}-off", seed=seed, guard=Guard(action="off"), store=store) - clean)
    rewinds = trials.rewinds(name)
    found.late.append(min((one["step"] for one in rewinds), default=STEPS) - steps.start)
    found.rewinds.append(len(rewinds))
    samples = {sample for one in rewinds for sample in range(*one["skipped"])}
    found.skipped.append(len(samples) / BATCH_ROWS)


def add(result: Result, kind: str, found: Found, *, deviation: float) -> None:
    """Add the rows of a kind of noise."""
    early, late = min(found.late), max(found.late)
    worst = late if early >= 0 else early  # a step before the noise would be a false alarm
    result.add(f"{kind}: found late by, at most", worst, "steps", below=2)
    result.add(f"{kind}: rewinds", statistics.mean(found.rewinds), "a run")
    result.add(f"{kind}: data skipped", statistics.mean(found.skipped), "steps a run")
    for name, differences, target in (("", found.guarded, 1.0), (", guard off", found.off, None)):
        largest = max(map(abs, differences)) / deviation
        result.add(f"{kind}: difference{name}", largest, "deviations", below=target)
    result.details[f"{kind}: differences in nats, guarded, off"] = [
        [round(one, 5) for one in differences] for differences in (found.guarded, found.off)
    ]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
