"""kill -9 at random steps and at random moments: is what comes out in the end the same to the bit?"""

from __future__ import annotations

import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench.planted_noise import planted_at
from tests.bench.report import Result
from tests.training.looping import Bench

KILLS = 20
STEPS, EVERY = 100, 3  # more than an epoch; a checkpoint was always just written, or is about to be
AT_MOST = 5  # kills of one run
TIMEOUT_S = 240


@dataclass
class Life:
    """A process of a run. `moment`: killed by the clock, not by its step; `taken`: steps before its end."""

    moment: bool
    code: int
    taken: int
    writing: bool  # a checkpoint was half written
    text: str


@dataclass
class Killed:
    """A run that was killed until it came to its end."""

    lives: list[Life] = field(default_factory=list)
    exact: bool = False

    @property
    def kills(self) -> list[Life]:
        """Return the lives that SIGKILL ended."""
        return [life for life in self.lives if life.code == -signal.SIGKILL]


async def run(*, quick: bool) -> Result:
    """Kill runs on clean texts and on texts with a spike, go on each time, compare their ends."""
    result = Result(
        compared="losses of all steps and the bytes of the model and of the last checkpoint (weights and "
        "moments in float32), of runs ended by SIGKILL and started again, against a run left alone; killed "
        f"at a random step or after random seconds of a process, up to {AT_MOST} times a run; {STEPS} steps, "
        f"a checkpoint every {EVERY}; half of the kills in runs with a spike to go back from"
    )
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as lanes:
        bench = Bench(Path(folder))
        bench.write(steps=STEPS, every=EVERY)
        spiked = bench.poisoned("spiked", steps=[planted_at(1)])
        work = partial(lane, bench, num_kills=4 if quick else KILLS // 2)
        runs = [*lanes.map(work, ("clean", "spiked"), (bench.store, spiked))]
    done = [one for some in runs for one in some]
    kills = [life for one in done for life in one.kills]
    result.add("kills", len(kills), "")
    result.add("of them by the clock", sum(life.moment for life in kills), "")
    result.add("before a process had taken a step", sum(not life.taken for life in kills), "")
    result.add("while a checkpoint was half written", sum(life.writing for life in kills), "")
    exact = sum(len(one.kills) for one in done if one.exact)
    result.add("kills without a trace", exact, f"of {len(kills)}", least=len(kills))
    result.add("runs", len(done), "")
    again = [sum(life.taken for life in one.lives) - STEPS for one in done]
    result.add("steps taken again", sum(again) / len(kills), "a kill")
    result.details["steps of each process, by run"] = [[life.taken for life in one.lives] for one in done]
    result.details["errors"] = [one.lives[-1].text[-500:] for one in done if not one.exact]
    return result


def lane(bench: Bench, kind: str, store: Path, *, num_kills: int) -> list[Killed]:
    """Run once alone, then kill runs until there are so many kills."""
    chance, begun = random.Random(kind), time.monotonic()
    code, text = bench.run(kind, store=store)
    if code:
        raise RuntimeError(text)
    whole_s, left, runs = time.monotonic() - begun, num_kills, list[Killed]()
    while left:
        name, killed = f"{kind}-{len(runs)}", Killed()
        while not killed.lives or killed.lives[-1].code == -signal.SIGKILL:
            may = len(killed.kills) < min(left, AT_MOST)
            killed.lives.append(
                live(bench, name, store=store, chance=chance if may else None, whole_s=whole_s)
            )
        killed.exact = not killed.lives[-1].code and list(ends(bench, name)) == list(ends(bench, kind))
        left -= len(killed.kills)
        runs.append(killed)
    return runs


def live(bench: Bench, name: str, *, store: Path, chance: random.Random | None, whole_s: float) -> Life:
    """Start a process and kill it by chance, at one of its first steps or in the latter half of its time."""
    moment = chance is not None and chance.random() < 0.5
    at = {"KILL_AT": str(chance.randrange(STEPS // AT_MOST))} if chance and not moment else {}
    process = bench.start(name, store=store, **at)
    if chance and moment:
        try:
            process.wait(chance.uniform(0.5, 1) * whole_s)
        except subprocess.TimeoutExpired:
            process.kill()
    out, error = process.communicate(timeout=TIMEOUT_S)
    writing = any((bench.folder / name / "checkpoints").glob(".step-*.partial"))
    taken = sum(line[0].isdigit() and "spike" not in line for line in out.splitlines())
    return Life(moment, process.returncode, taken, writing, out + error)


def ends(bench: Bench, name: str) -> Iterator[object]:
    """Yield what must be the same: losses, model, the last checkpoint's tensors."""
    yield bench.losses(name)
    yield (bench.folder / name / "model.safetensors").read_bytes()
    last = bench.folder / name / "checkpoints" / f"step-{STEPS:08d}"
    yield (last / "__0_0.distcp").read_bytes()  # .metadata beside it holds an id drawn anew for each save
