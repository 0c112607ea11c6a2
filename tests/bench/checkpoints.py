"""What a checkpoint costs the loop: the seconds by which steps that go on beside it end later."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tests.bench.report import Result
from training.optimization import Checkpoints as Settings
from training.trainer.checkpoints import Checkpoints
from training.trainer.parallel import world

SIZES = {"5M": 5_000_000, "120M": 120_000_000}  # parameters; 12 bytes each: weight and two moments in float32
PART = 4_000_000  # elements of a tensor: 16 MB
ROUNDS = 5
WIDTH = 768  # of the matrices of a step: some 10 ms on 2 cores


async def run(*, quick: bool) -> Result:
    """Save each size in the background, in the foreground and by torch.save, with steps going on."""
    result = Result(
        compared=f"seconds lost per checkpoint, median of {ROUNDS}: matrix products in steps, a save at the "
        "start, minus as many steps alone right before; the wait for the end of the save counts where it "
        "outlasts them. torch.save: one file, flushed, no checksum"
    )
    for name, num in SIZES.items():
        if not (quick and num > 10_000_000):
            measure(name, num, result=result)
    return result


def measure(name: str, num: int, *, result: Result) -> None:
    """Add the rows of one size."""
    tensors = {
        f"{kind}.{begin}": torch.randn(min(PART, num - begin))
        for kind in ("weight", "first", "second")
        for begin in range(0, num, PART)
    }
    result.add(f"{name}: state", sum(tensor.nbytes for tensor in tensors.values()) / 1e6, "MB")
    with tempfile.TemporaryDirectory() as folder:
        plain_s = _lost(lambda turn: _plain(tensors, Path(folder) / "plain.pt"), num_steps=0)
        num_steps = int(4 * plain_s / (_steps(20) / 20)) + 1
        lost = {"torch.save": plain_s}
        stood = []
        for kind in ("foreground", "background"):
            kept = Checkpoints(
                Path(folder) / kind,
                settings=Settings(keep=1, background=kind == "background"),
                identity={},
                world=world(),
            )

            def save(turn: int, kept: Checkpoints = kept) -> Callable[[], None]:
                stood.append(kept.save(turn + 1, tensors=tensors, facts={}))
                return kept.wait

            lost[kind] = _lost(save, num_steps=num_steps if kind == "background" else 0)
    for kind, seconds in lost.items():
        result.add(f"{name}: lost, {kind}", seconds, "s")
    result.add(f"{name}: loop stands still, background", statistics.median(stood[-ROUNDS:]), "s")
    share = lost["background"] / lost["torch.save"]
    result.add(f"{name}: lost in the background, share of torch.save's", share, "", below=1)


def _lost(save: Callable[[int], Callable[[], None]], *, num_steps: int) -> float:
    """Return the median time that saving adds to so many steps; a first round warms up."""
    found = []
    for turn in range(ROUNDS + 1):
        alone_s, begun = _steps(num_steps), time.perf_counter()
        wait = save(turn)
        _steps(num_steps)
        wait()
        found.append(time.perf_counter() - begun - alone_s)
    return statistics.median(found[1:])


def _plain(tensors: dict[str, torch.Tensor], path: Path) -> Callable[[], None]:
    with path.open("wb") as file:
        torch.save(tensors, file)
        file.flush()
        os.fsync(file.fileno())
    return lambda: None


def _steps(num: int) -> float:
    """Take so many steps; return their seconds."""
    begun = time.perf_counter()
    for _ in range(num):
        matrix = torch.ones(WIDTH, WIDTH)
        (matrix @ matrix).sum().item()
    return time.perf_counter() - begun
