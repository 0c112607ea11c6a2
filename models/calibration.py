"""What a model's own probability is worth: curves fitted on labelled data, stored with the card."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Probability = Annotated[float, Field(ge=0, le=1, strict=False)]
_Point = Annotated[tuple[_Probability, _Probability], Field(strict=False)]  # TOML has lists
_Points = Annotated[tuple[_Point, ...], Field(min_length=1, strict=False)]


class Curve(BaseModel):
    """A rising curve through (raw probability, share that was right), as isotonic regression gives it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    points: _Points
    n: int = Field(ge=1, description="labelled answers that it was fitted on")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for (raw, right), (raw_after, right_after) in pairwise(self.points):
            if raw >= raw_after or right > right_after:
                raise ValueError("points have to rise from left to right")
        return self

    def __call__(self, raw: float) -> float:
        """Return the calibrated probability: linear between the points, flat beyond them."""
        at = bisect_left(self.points, (raw, 0.0))
        if at == 0:
            return self.points[0][1]
        if at == len(self.points):
            return self.points[-1][1]
        (left, low), (right, high) = self.points[at - 1], self.points[at]
        return low + (high - low) * (raw - left) / (right - left)


class Calibration(BaseModel):
    """The curves of one task: for answers that found something, and for answers that found nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    found: Curve
    none: Curve
    normalizer_version: str
    data: str
    command: str
