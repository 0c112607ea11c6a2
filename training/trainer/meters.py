"""How fast a training goes: tokens a second, share of the hardware's peak, time left, time not trained in."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_WINDOW: Final = 50  # steps


class Meter:
    """Measures steps as they end. `flops_per_token` and `peak_flops` (a second, all processes) give the MFU.

    The first step after a start compiles and fills caches, so it counts only until there is a second one.
    """

    def __init__(
        self,
        *,
        flops_per_token: float,
        peak_flops: float,
        window: int = _WINDOW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mfu_of_rate = flops_per_token / peak_flops if peak_flops else 0.0
        self._steps: deque[tuple[int, float]] = deque(maxlen=window)  # tokens, seconds
        self._first = True
        self._clock = clock
        self._mark = clock()
        self._away = 0.0  # since the mark
        self.tokens = 0
        self.trained_s = 0.0
        self.aside_s: dict[str, float] = {}

    def step(self, tokens: int) -> None:
        """Count a step that ends now, with its tokens over all processes."""
        now = self._clock()
        taken = max(now - self._mark - self._away, 1e-9)
        if self._first and self._steps:
            self._steps.clear()
            self._first = False
        self._steps.append((tokens, taken))
        self._mark, self._away = now, 0.0
        self.tokens += tokens
        self.trained_s += taken

    @contextmanager
    def aside(self, what: str) -> Iterator[None]:
        """Count the block's time as `what`, a save or a rewind, not as training."""
        begun = self._clock()
        try:
            yield
        finally:
            self.add_aside(what, self._clock() - begun)

    def add_aside(self, what: str, seconds: float) -> None:
        """Count seconds of this step that went by in something else."""
        self._away += seconds
        self.aside_s[what] = self.aside_s.get(what, 0.0) + seconds

    @property
    def tokens_per_s(self) -> float:
        """Return the rate over the last steps; 0 before the first."""
        return sum(tokens for tokens, _ in self._steps) / max(sum(taken for _, taken in self._steps), 1e-9)

    @property
    def mfu(self) -> float | None:
        """Return the share of the peak that the model's FLOPs make, None where the peak is not known."""
        return self._mfu_of_rate * self.tokens_per_s if self._mfu_of_rate else None

    def seconds_left(self, tokens: int) -> float | None:
        """Return how long so many more tokens take at the present rate, with as much time aside as so far."""
        if not self._steps:
            return None
        return tokens / self.tokens_per_s * (1 + sum(self.aside_s.values()) / self.trained_s)


def progress_text(
    *, loss: float, bits_per_character: float, tokens_per_s: float, mfu: float | None, gradient_norm: float
) -> str:
    """Return the line for people; the bar around it tells the time left."""
    parts = [f"loss {loss:.3f}", f"{bits_per_character:.2f} bits/char", f"{tokens_per_s:,.0f} tok/s"]
    parts += [f"MFU {mfu:.0%}".replace("%", " %")] if mfu is not None else []
    return " · ".join([*parts, f"grad {gradient_norm:.2f}"])
