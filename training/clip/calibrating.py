"""How sure is sure enough: temperature and thresholds of a bank, from photos that nothing was learnt from.

Shapes: N photos whose label is known, M photos of things that were never taught, L labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

TEMPERATURES: Final = tuple(0.002 * 1.08**step for step in range(73))  # 0.002 to 0.5
THRESHOLDS: Final = tuple(step / 100 for step in range(100))
COSINES: Final = 13  # lower bounds of the best cosine that are tried
SPARE: Final = 1.64  # standard errors: 95 % sure of a share of photos that chance has chosen
DECIMALS: Final = 4  # of what a card says


@dataclass(frozen=True)
class Settings:
    """What a card says of a bank (models/eyes.py)."""

    temperature: float
    threshold: float
    cosine: float


def calibrate(
    known: Tensor,
    answers: Tensor,
    strange: Tensor,
    *,
    classes: Sequence[str],
    near: Tensor,
    precision: float,
    abstained: float,
) -> Settings:
    """Return settings that answer as often as the two shares allow, each with something to spare.

    `known` [N, L] and `strange` [M, L] are cosines, `answers` [N] the right columns, `classes` what the M
    strange photos are of: of other strange things their classes tell, not their photos. `near` [L, L] says
    which labels are as good as the right one. Where no threshold
    does, the bank is to be silent: both its bounds are 1.
    """
    temperature = round(best_temperature(known, answers), DECIMALS)
    score, cosine = _best(known, temperature)
    right = near[answers, known.argmax(1)]
    strange_score, strange_cosine = _best(strange, temperature)
    found, most = Settings(temperature, 1.0, 1.0), 0
    for lowest in _lower_bounds(cosine):
        for threshold in THRESHOLDS:
            spoken = (score >= threshold) & (cosine >= lowest)
            count = int(spoken.sum())
            if count <= most or not _surely(int(right[spoken].sum()), count, precision):
                continue
            silent = (strange_score < threshold) | (strange_cosine < lowest)
            if len(strange) and not _surely_by_class(silent, classes, abstained):
                continue
            found, most = Settings(temperature, threshold, lowest), count
    return found


def best_temperature(cosines: Tensor, answers: Tensor) -> float:
    """Return the temperature at which the scores say most about the answers (least cross entropy)."""
    losses = {one: float(cross_entropy(cosines / one, answers)) for one in TEMPERATURES}
    return min(losses, key=lambda one: losses[one])


def speaks(cosines: Tensor, settings: Settings) -> Tensor:
    """Tell of each photo [N] whether the bank says its best label."""
    score = torch.softmax(cosines / settings.temperature, dim=1).amax(1)
    return (score >= settings.threshold) & (cosines.amax(1) >= settings.cosine)


def _best(cosines: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the best label's score [N] and cosine [N]."""
    return torch.softmax(cosines / temperature, dim=1).amax(1), cosines.amax(1)


def _lower_bounds(cosine: Tensor) -> list[float]:
    """Return no bound, and bounds that cost up to half of the known photos."""
    shares = torch.linspace(0, 0.5, COSINES)
    return [-1.0, *sorted({round(float(one), DECIMALS) for one in torch.quantile(cosine, shares)})]


def _surely(count: int, of: int, share: float) -> bool:
    """Tell whether count of `of` is above a share by `SPARE` errors, those of (count + 1) / (of + 2)."""
    if not of:
        return False
    estimate = (count + 1) / (of + 2)
    return count / of - SPARE * math.sqrt(estimate * (1 - estimate) / of) >= share


def _surely_by_class(flags: Tensor, classes: Sequence[str], share: float) -> bool:
    """Tell whether the mean share of the classes is above one by `SPARE` errors of that mean."""
    found = [
        float(flags[torch.tensor([one == name for one in classes])].float().mean())
        for name in sorted(set(classes))
    ]
    if len(found) < 2:
        return _surely(int(flags.sum()), len(flags), share)
    mean = sum(found) / len(found)
    variance = sum((one - mean) ** 2 for one in found) / (len(found) - 1)
    return mean - SPARE * math.sqrt(variance / len(found)) >= share
