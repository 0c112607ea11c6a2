"""Скорость обучения: края точны, между ними монотонно, ноль не встречается."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.optimization import Training
from training.trainer.schedule import learning_rate


def settings(num_steps: int, **changes: object) -> Training:
    fixed = {"name": "t", "trainable": "all", "batch_tokens": 16, "sequence_length": 16}
    return Training(**{**fixed, "tokens": 16 * num_steps, "learning_rate": 3e-4, **changes})


def rates(training: Training) -> list[float]:
    return [learning_rate(step, settings=training) for step in range(training.num_steps)]


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_warm_up_is_linear_and_ends_at_the_peak(schedule: str) -> None:
    found = rates(settings(100, warm_up=0.1, schedule=schedule))
    assert found[:10] == pytest.approx([3e-4 * step / 10 for step in range(1, 11)])
    assert found[9] == 3e-4 == max(found)


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize("final_rate", [0.0, 0.1, 1 / 3, 1.0])
@pytest.mark.parametrize("warm_up", [0.0, 0.01, 0.07])
def test_the_last_step_has_the_final_rate_exactly(schedule: str, final_rate: float, warm_up: float) -> None:
    found = rates(settings(100, schedule=schedule, final_rate=final_rate, warm_up=warm_up))
    assert found[-1] == 3e-4 * final_rate
    assert max(found) == 3e-4


def test_wsd_stays_at_the_peak_and_falls_in_a_line() -> None:
    found = rates(settings(100, warm_up=0.1, decay=0.2, final_rate=0.0, schedule="wsd"))
    assert set(found[9:80]) == {3e-4}
    falls = [before - after for before, after in pairwise(found[79:])]
    assert falls == pytest.approx([3e-4 / 20] * 20)


def test_cosine_is_halfway_in_the_middle_and_constant_stays() -> None:
    cosine = settings(101, warm_up=0.0, final_rate=0.1)
    assert learning_rate(50, settings=cosine) == pytest.approx(3e-4 * 0.55)
    assert set(rates(settings(50, warm_up=0.0, schedule="constant"))) == {3e-4}


@given(
    st.integers(1, 60),
    st.sampled_from(["cosine", "wsd", "constant"]),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0, 1),
)
def test_it_rises_then_falls_between_bounds(
    num_steps: int, schedule: str, warm_up: float, decay: float, final_rate: float
) -> None:
    training = settings(num_steps, schedule=schedule, warm_up=warm_up, decay=decay, final_rate=final_rate)
    found = rates(training)
    top = found.index(max(found))
    assert found[0] > 0
    assert all(0 <= rate <= 3e-4 for rate in found)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(found[top:]))
