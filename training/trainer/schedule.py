"""The learning rate is a function of the step alone: a resumed or rewound run needs no state for it."""

from __future__ import annotations

import math

from training.optimization import Training


def learning_rate(step: int, *, settings: Training) -> float:
    """Return the rate of a step, from 0 on: up to the peak, then as `settings.schedule` says.

    The last step of the warm-up has exactly the peak, the stage's last step exactly `final_rate` of it (but
    for "constant"). Without a warm-up step 0 has the peak. Warm-up and decay take a step at least, unless
    their share is 0.
    """
    peak, last = settings.learning_rate, settings.num_steps - 1
    warm_up = _steps(settings.warm_up, of=settings.num_steps)
    if step < warm_up:
        return peak * ((step + 1) / warm_up)
    if settings.schedule == "constant":
        return peak
    top = max(warm_up - 1, 0)  # the last step before the rate may fall
    if settings.schedule == "wsd":
        top = max(top, last - _steps(settings.decay, of=settings.num_steps))
    done = min(1.0, max(0, step - top) / max(1, last - top))
    share = 1.0 - done if settings.schedule == "wsd" else (1.0 + math.cos(math.pi * done)) / 2
    return min(peak, peak * settings.final_rate * (1.0 - share) + peak * share)


def _steps(share: float, *, of: int) -> int:
    return max(1, round(share * of)) if share > 0 else 0
