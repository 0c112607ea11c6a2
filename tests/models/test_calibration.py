"""A curve turns a raw probability into the share that was right; it rises and stays within 0 and 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.calibration import Curve

CURVE = Curve(points=((0.2, 0.1), (0.6, 0.5), (0.9, 0.95)), n=100)


@pytest.mark.parametrize(
    ("raw", "calibrated"), [(0.0, 0.1), (0.2, 0.1), (0.4, 0.3), (0.6, 0.5), (0.9, 0.95), (1.0, 0.95)]
)
def test_between_the_points_it_is_linear_and_beyond_them_flat(raw: float, calibrated: float) -> None:
    assert CURVE(raw) == pytest.approx(calibrated)


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_probability_is_never_less_confidence(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= CURVE(low) <= CURVE(high) <= 1


def test_one_point_is_a_constant() -> None:
    assert Curve(points=((0.5, 0.7),), n=1)(0.1) == 0.7


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((0.5, 0.5), (0.5, 0.6)),
        ((0.5, 0.6), (0.7, 0.5)),
        ((0.7, 0.5), (0.5, 0.6)),
        ((0.5, 1.5),),
        ((-1, 0),),
    ],
)
def test_points_that_do_not_rise_are_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValidationError):
        Curve(points=points, n=1)
