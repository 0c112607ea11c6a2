"""A line of a plan, with sizes, counts and times as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from training.arithmetic import DAY_S, GB

_SIZES: Final = (("TB", 1e12), ("GB", GB), ("MB", 1e6))
_TIMES: Final = (("days", DAY_S), ("h", 3_600), ("min", 60))


@dataclass(frozen=True)
class Row:
    """One stage: what it does, what it writes, what it holds in memory, how long it takes."""

    stage: str
    what: str
    size: str
    memory: str
    time: str


def amount(size: float) -> str:
    """Return bytes as people read them: 1.5 TB, 104 MB."""
    for unit, factor in _SIZES:
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.3g} kB"


def span(time_s: float) -> str:
    """Return seconds as people read them: 15.0 days, 3.2 h, 4 min, 12 s."""
    for unit, factor in _TIMES:
        if time_s >= 2 * factor:
            return f"{time_s / factor:.1f} {unit}"
    return f"{time_s:.0f} s"


def count(number: float) -> str:
    """Return a number as people read it: 7.24B, 268M, 154k."""
    for unit, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g}{unit}"
    return f"{number:.0f}"
