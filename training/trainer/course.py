"""Where a training stands: its step, what the guard has seen, the way back after a spike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from training.optimization import Training
from training.trainer.checkpoints import Checkpoints
from training.trainer.guard import Guard
from training.trainer.history import Rewind
from training.trainer.parallel import World
from training.trainer.peers import once
from training.trainer.rewinds import Rewinds
from training.trainer.schedule import learning_rate
from training.trainer.stepping import Measured, Stepper
from training.trainer.stored_state import Found


class Course:
    """The state that is more than weights. `step`: how many were taken, so also the next one's number.

    `heard` is called with a rewind as it happens, `saved` with a checkpoint's step; both with what it cost in
    seconds.
    """

    def __init__(
        self, folder: Path, *, stepper: Stepper, checkpoints: Checkpoints, training: Training, world: World
    ) -> None:
        self.stepper, self.checkpoints, self.training, self.world = stepper, checkpoints, training, world
        self.guard = Guard(training.guard)
        self.rewinds = Rewinds(folder / "rewinds.json")
        self.step = 0
        self.targets = 0  # learned from so far, on this course
        self.last_saved = 0
        self.heard: Callable[[Rewind, float], None] = lambda rewind, seconds: None
        self.saved: Callable[[int, float], None] = lambda step, seconds: None

    def resume(self) -> None:
        """Go on from the newest checkpoint of the present course, or from the base."""
        if usable := self._usable():
            self._restore(usable)

    def advance(self, *, stop: bool = False) -> Measured:
        """Take a step, or go back where its batch is a spike. Raises SpikeError."""
        measured = self.stepper.measure(self.step, skips=self.rewinds.skips, stop=stop)
        verdict = self.guard.judge(loss=measured.loss, gradient_norm=measured.gradient_norm)
        if verdict.kind == "spike":
            self.rewind(measured, reason=verdict.reason)
            return measured
        self.stepper.apply(learning_rate(self.step, settings=self.training))
        self.step += 1
        self.targets += measured.targets
        return measured

    def save(self) -> None:
        """Save the state, unless this step's was saved."""
        if self.last_saved == self.step:
            return
        facts = {
            "step": self.step,
            "targets": self.targets,
            "guard": self.guard.state(),
            "timeline": self.rewinds.timeline,
        }
        seconds = self.checkpoints.save(self.step, tensors=self.stepper.tensors(), facts=facts)
        self.last_saved = self.step
        self.saved(self.step, seconds)

    def rewind(self, measured: Measured, *, reason: str) -> None:
        """Go back to the last good checkpoint and leave the offending data out."""
        begun = time.monotonic()
        self.stepper.discard()
        usable = self._usable()

        def decide() -> Rewind:
            planned = self.rewinds.plan(
                self.step,
                samples=measured.samples,
                batch_rows=self.training.batch_rows,
                settings=self.training.guard,
                loss=measured.loss,
                gradient_norm=measured.gradient_norm,
                reason=reason,
                checkpoints=[0, *(one.step for one in usable)],
            )
            self.rewinds.add(planned)
            return planned

        planned = once(decide)
        if not self.world.main:
            self.rewinds.add(planned, write=False)
        self.checkpoints.forget([one.step for one in usable if one.step > planned.to_step])
        self._restore([one for one in usable if one.step <= planned.to_step])
        self.heard(planned, time.monotonic() - begun)

    def _usable(self) -> list[Found]:
        """Return the checkpoints of the present course, oldest first."""
        self.checkpoints.wait()
        found = self.checkpoints.found()
        usable = [one for one in found if self.rewinds.usable(one.step, one.facts["timeline"])]
        return sorted(usable, key=lambda one: one.step)

    def _restore(self, usable: Sequence[Found]) -> None:
        """Take up the last of these states that is whole, or the base's where there is none."""
        self.guard = Guard(self.training.guard)
        found = self.checkpoints.restore(usable, tensors=self.stepper.tensors())
        if found is None:
            self.stepper.restart()
            self.step = self.targets = self.last_saved = 0
            return
        self.step, self.targets = found.facts["step"], found.facts["targets"]
        self.last_saved = self.step
        self.guard.restore(found.facts["guard"])
        self.stepper.resume(self.step)
