"""Счётчики: скорость по последним шагам, доля пика, остаток времени; сохранения и возвраты отдельно."""

from __future__ import annotations

import pytest

from training.trainer.meters import Meter, progress_text


class Clock:
    """Время, которое идёт, когда скажут."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_rate_is_that_of_the_last_steps(clock: Clock) -> None:
    meter = Meter(flops_per_token=2e6, peak_flops=1e9, window=4, clock=clock)
    assert meter.tokens_per_s == 0 and meter.seconds_left(100) is None
    for seconds in (60.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0):
        clock.now += seconds
        meter.step(200)
    assert meter.tokens_per_s == pytest.approx(200)
    assert meter.mfu == pytest.approx(0.4)
    assert meter.seconds_left(1_000) == pytest.approx(5)
    assert (meter.tokens, meter.trained_s) == (1_600, pytest.approx(70))


def test_the_first_step_counts_only_until_the_second(clock: Clock) -> None:
    meter = Meter(flops_per_token=1, peak_flops=0, clock=clock)
    clock.now += 50
    meter.step(100)
    assert meter.tokens_per_s == pytest.approx(2) and meter.mfu is None
    clock.now += 1
    meter.step(100)
    assert meter.tokens_per_s == pytest.approx(100)


def test_saves_and_rewinds_are_counted_apart(clock: Clock) -> None:
    meter = Meter(flops_per_token=1, peak_flops=1, clock=clock)
    for _ in range(4):
        clock.now += 1
        with meter.aside("save"):
            clock.now += 0.5
        meter.step(100)
    with pytest.raises(ValueError, match="диск"), meter.aside("rewind"):
        clock.now += 7
        raise ValueError("диск")
    clock.now += 1
    meter.step(100)
    assert meter.aside_s == pytest.approx({"save": 2.0, "rewind": 7.0})
    assert meter.tokens_per_s == pytest.approx(100) and meter.trained_s == pytest.approx(5)


def test_the_line_for_people() -> None:
    figures = {"loss": 3.2141, "bits_per_character": 1.5312, "tokens_per_s": 12_400.3, "gradient_norm": 0.824}
    told = progress_text(**figures, mfu=0.409)
    assert told == "loss 3.214 · 1.53 bits/char · 12,400 tok/s · MFU 41 % · grad 0.82"
    assert "MFU" not in progress_text(**figures, mfu=None)
