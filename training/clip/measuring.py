"""What a captioning model is worth on photos that it was not taught: by class, when it speaks, when not.

Shapes: N photos, L labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.clip.calibrating import Settings, speaks


@dataclass(frozen=True)
class Share:
    """A share of n photos, with its standard error by (k + 1) / (n + 2)."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """Return the share, NaN of none."""
        return self.count / self.n if self.n else math.nan

    @property
    def stderr(self) -> float:
        """Return the standard error, never 0."""
        estimate = (self.count + 1) / (self.n + 2)
        return math.sqrt(estimate * (1 - estimate) / (self.n + 2))

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} ± {100 * self.stderr:.1f} % of {self.n:,}"


def share(flags: Tensor) -> Share:
    """Return the share of true ones [N]."""
    return Share(int(flags.sum()), len(flags))


def top(cosines: Tensor, answers: Tensor, *, among: int = 1) -> Tensor:
    """Tell of each photo [N] whether the right label [N] is among the best of its cosines [N, L]."""
    best = cosines.topk(min(among, cosines.shape[1]), dim=1).indices
    return (best == answers[:, None]).any(1)


def by_class(cosines: Tensor, answers: Tensor, labels: Sequence[str], *, among: int) -> dict[str, Share]:
    """Return the share of right photos of each label that has any."""
    right = top(cosines, answers, among=among)
    return {name: share(right[answers == at]) for at, name in enumerate(labels) if (answers == at).any()}


@dataclass(frozen=True)
class Spoken:
    """How often a bank speaks, how often it is right then, and how often it is silent on strange things."""

    coverage: Share
    precision: Share
    abstained: Share


def spoken(known: Tensor, answers: Tensor, strange: Tensor, settings: Settings) -> Spoken:
    """Return the shares at a card's settings; `strange` are cosines of what was never taught."""
    says = speaks(known, settings)
    return Spoken(share(says), share(top(known, answers)[says]), share(~speaks(strange, settings)))


def calibration_error(cosines: Tensor, answers: Tensor, *, temperature: float, bins: int = 10) -> float:
    """Return the mean gap between score and share of right photos over ten bins (ECE, arXiv:1706.04599)."""
    score = torch.softmax(cosines / temperature, dim=1).amax(1)
    right = top(cosines, answers).float()
    number = (score * bins).long().clamp(max=bins - 1)
    gaps = [
        float((score[number == one].mean() - right[number == one].mean()).abs())
        * float((number == one).sum())
        for one in range(bins)
        if (number == one).any()
    ]
    return sum(gaps) / len(cosines)
