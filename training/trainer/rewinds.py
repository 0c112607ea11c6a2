"""What the run went back on and which data it skips since: kept beside the checkpoints, never rewritten.

Step s of a stage takes the virtual samples [s * batch_rows, (s + 1) * batch_rows). A sample's own number
jumps over the skipped ranges before it. A new range lies behind all that its checkpoint had consumed, so
what was trained on before keeps its numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.errors import SpikeError
from training.optimization import Guard
from training.packed.order import actual, merge
from training.trainer.history import Range, Rewind, load_history, save_history

_HOPELESS: Final = (
    "step 0: {reason}, on other data too and before anything was learnt, so it is not the data: look at the "
    "weights of the base, at precision (float32 instead of bf16) and at learning_rate"
)
_AGAIN: Final = (
    "step {step}: {reason}; {tries} rewinds in this place did not help. The state before it is in {place}: "
    "lower learning_rate or clip, or give the guard more room (skip_after, margin, tries)"
)


class Rewinds:
    """The rewinds of a stage, in a file beside its checkpoints. `history`: oldest first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.history = load_history(path)

    @property
    def timeline(self) -> int:
        """Return the number of rewinds so far, which names the course that the run is on."""
        return len(self.history)

    @property
    def skips(self) -> tuple[Range, ...]:
        """Return what is skipped: sorted, disjoint ranges of actual sample numbers."""
        ranges: tuple[Range, ...] = ()
        for rewind in self.history:
            ranges = merge(ranges, new=rewind.skipped)
        return ranges

    def usable(self, step: int, timeline: int) -> bool:
        """Tell whether the state before `step`, saved on that timeline, lies on the present course."""
        return all(rewind.to_step >= step for rewind in self.history[timeline:])

    def plan(
        self,
        step: int,
        *,
        samples: NDArray[np.int64],
        batch_rows: int,
        settings: Guard,
        loss: float,
        gradient_norm: float,
        reason: str,
        checkpoints: Sequence[int],
    ) -> Rewind:
        """Return where to go back to from a spike and what to skip; nothing is changed yet.

        `samples`: the step's, by their own numbers. `checkpoints`: steps whose state is kept, the first too.
        The k-th attempt in one place skips twice as far as the one before, from a step earlier on, and goes
        back one checkpoint more. Raises SpikeError after `tries`, or where it cannot be the data.
        """
        first, near = int(samples.min()), settings.near * batch_rows
        here = [r.attempt for r in self.history if r.skipped[0] <= first < r.skipped[1] + near]
        attempt = 1 + max(here, default=0)
        if here and step == 0 and not math.isfinite(loss):
            raise SpikeError(_HOPELESS.format(reason=reason))
        if attempt > settings.tries:
            raise SpikeError(
                _AGAIN.format(step=step, reason=reason, tries=settings.tries, place=self._path.parent)
            )
        older = sorted({0, *(saved for saved in checkpoints if saved <= step - settings.margin)})
        to_step = older[max(0, len(older) - attempt)]
        begin = max(to_step, step - settings.skip_before - (attempt - 1))
        end = step + (1 + settings.skip_after) * 2 ** (attempt - 1)
        ends = np.array([begin * batch_rows, end * batch_rows - 1])
        left, right = actual(ends, skips=self.skips).tolist()
        skipped, now = (left, right + 1), round(time.time(), 3)
        return Rewind(
            step, loss, gradient_norm, reason, to_step, skipped, (begin, end), attempt=attempt, time=now
        )

    def add(self, rewind: Rewind, *, write: bool = True) -> None:
        """Make a planned rewind part of the history; with `write` it is on the disk before this returns."""
        history = (*self.history, rewind)
        if write:
            save_history(self._path, history)
        self.history = history
