"""Страж всплесков: чистые кривые проходят, всплеск виден на том же шаге, память восстанавливается до бита."""

from __future__ import annotations

import json
import math
import random

import pytest

from training.optimization import Guard as Settings
from training.trainer.guard import Guard, Verdict


def after(num_steps: int, *, loss: float = 2.5, seed: int = 1, **changes: object) -> Guard:
    """Страж, который видел ровный участок обучения."""
    guard, noise = Guard(Settings(**changes)), random.Random(seed)
    for _ in range(num_steps):
        guard.judge(loss=loss + noise.gauss(0, 0.03), gradient_norm=math.exp(noise.gauss(0, 0.08)))
    return guard


def course(kind: str, *, seed: int, num_steps: int = 2_000) -> list[tuple[float, float]]:
    """Потери и нормы градиента, как в жизни: с нуля, после замены словаря, при дообучении с подъёмом."""
    noise, steps = random.Random(seed), []
    for step in range(num_steps):
        loss = {
            "с нуля": 3.0 + 7.5 * math.exp(-step / 60) + 1.2 / math.sqrt(1 + step / 100),
            "новый словарь": 2.4 + 5 * math.exp(-step / 15) + (1 + step / 30) ** -0.7,
            "подъём на разогреве": 2.2 + 0.25 * math.exp(-(((step - 60) / 40) ** 2)) - 0.1 * step / num_steps,
            "ровно": 2.0,
        }[kind]
        norm = 0.7 + 8 * math.exp(-step / 30) * min(1, (step + 1) / 40) + 0.5 * math.exp(-step / 500)
        steps.append((loss + noise.gauss(0, 0.03), norm * math.exp(noise.gauss(0, 0.1))))
    return steps


KINDS = ("с нуля", "новый словарь", "подъём на разогреве", "ровно")


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_curve_raises_no_alarm(kind: str) -> None:
    guard = Guard(Settings())
    kinds = {guard.judge(loss=loss, gradient_norm=norm).kind for loss, norm in course(kind, seed=5)}
    assert kinds == {"good"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_spike_is_found_at_its_step(kind: str) -> None:
    guard = Guard(Settings())
    for step, (loss, norm) in enumerate(course(kind, seed=6)):
        if step >= 40 and step % 20 == 0:
            assert guard.judge(loss=loss + 1.0, gradient_norm=norm).kind == "spike", step
            assert guard.judge(loss=loss, gradient_norm=norm * 13).kind == "spike", step
        guard.judge(loss=loss, gradient_norm=norm)


def test_a_slow_explosion_does_not_take_the_bound_along() -> None:
    guard = after(300)
    verdicts = [guard.judge(loss=2.5 + 0.03 * step, gradient_norm=1.0).kind for step in range(60)]
    assert "spike" in verdicts[:25], "на подъёме в 0,75 ната"


def test_a_spike_is_not_remembered_and_good_steps_are() -> None:
    guard = after(50)
    before = guard.state()
    assert guard.judge(loss=9.0, gradient_norm=1.0).kind == "spike"
    assert guard.state() == before
    assert guard.judge(loss=2.5, gradient_norm=1.0).kind == "good"
    assert guard.state()["losses"] == [*before["losses"], 2.5]


def test_the_reason_tells_figures_and_bounds() -> None:
    verdict = after(50).judge(loss=9.125, gradient_norm=77.5)
    assert verdict.loss_bound is not None and verdict.gradient_bound is not None
    for part in ("9.125", "77.5", f"{verdict.loss_bound:.4g}", f"{verdict.gradient_bound:.4g}"):
        assert part in verdict.reason
    assert "\n" not in verdict.reason


@pytest.mark.parametrize("action", ["rewind", "log", "off"])
@pytest.mark.parametrize(
    ("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (2.0, math.nan), (2.0, math.inf)]
)
@pytest.mark.parametrize("seen", [0, 50])
def test_what_is_no_number_is_a_spike_always(action: str, loss: float, norm: float, seen: int) -> None:
    verdict = after(seen, action=action, passes_below=1e9).judge(loss=loss, gradient_norm=norm)
    assert verdict.kind == "spike"


def test_before_the_warm_up_nothing_else_is_a_spike() -> None:
    assert after(19).judge(loss=50.0, gradient_norm=500.0) == Verdict("good", "within bounds", None, None)
    assert after(20).judge(loss=50.0, gradient_norm=500.0).kind == "spike"
    assert after(8, window=8).judge(loss=50.0, gradient_norm=1.0).kind == "spike", "окно короче разогрева"


def test_a_spike_passes_by_setting_and_is_remembered() -> None:
    for guard in (after(50, passes_below=1.0), after(50, action="log")):
        verdict = guard.judge(loss=3.3, gradient_norm=50.0)
        assert verdict.kind == "tolerated" and "3.3" in verdict.reason
        assert guard.state()["losses"][-1] == 3.3
    assert after(50, passes_below=1.0).judge(loss=3.7, gradient_norm=1.0).kind == "spike"
    assert after(50, action="off").judge(loss=50.0, gradient_norm=50.0).kind == "good"


def test_a_plateau_without_noise_is_not_hypersensitive() -> None:
    guard = Guard(Settings())
    for _ in range(200):
        guard.judge(loss=0.01, gradient_norm=0.0)
    assert guard.judge(loss=0.1, gradient_norm=0.0).kind == "good"


def test_the_state_survives_json_to_the_bit() -> None:
    whole, halves = after(0, seed=3), after(0, seed=4)
    steps = course("с нуля", seed=7, num_steps=300)
    first = [whole.judge(loss=loss, gradient_norm=norm) for loss, norm in steps]
    for loss, norm in steps[:150]:
        halves.judge(loss=loss, gradient_norm=norm)
    resumed = after(77)
    resumed.restore(json.loads(json.dumps(halves.state())))
    assert [resumed.judge(loss=loss, gradient_norm=norm) for loss, norm in steps[150:]] == first[150:]
