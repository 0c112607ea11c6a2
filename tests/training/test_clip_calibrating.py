"""Thresholds keep what they promise, speak as often as that allows, and are silent where nothing will do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from training.clip.calibrating import Settings, calibrate, speaks
from training.clip.measuring import Share, by_class, calibration_error, share, spoken, top

LABELS = 6
EXACT = torch.eye(LABELS, dtype=torch.bool)
WANTED: dict[str, Any] = {"classes": (), "near": EXACT, "precision": 0.95, "abstained": 0.9}


def photos(count: int, *, right: float, seed: int, spread: float = 0.05) -> tuple[Tensor, Tensor]:
    """Make cosines [count, 6]: the right label's is higher by `right` on average."""
    chance = torch.Generator().manual_seed(seed)
    answers = torch.randint(LABELS, (count,), generator=chance)
    cosines = torch.randn(count, LABELS, generator=chance) * spread
    cosines[torch.arange(count), answers] += right
    return cosines, answers


def strangers(count: int, *, seed: int) -> Tensor:
    return torch.randn(count, LABELS, generator=torch.Generator().manual_seed(seed)) * 0.05


def test_promises_hold_on_photos_that_were_not_calibrated_with() -> None:
    found = calibrate(*photos(600, right=0.12, seed=1), strangers(300, seed=2), **WANTED)
    told = spoken(*photos(4_000, right=0.12, seed=3), strangers(2_000, seed=4), found)
    assert told.precision.value >= 0.95
    assert told.abstained.value >= 0.9
    assert told.coverage.value > 0.3


def test_the_easier_the_photos_the_more_is_said() -> None:
    hard, easy = (
        spoken(
            *photos(2_000, right=right, seed=5),
            strangers(500, seed=6),
            calibrate(*photos(800, right=right, seed=7), strangers(500, seed=8), **WANTED),
        ).coverage.value
        for right in (0.1, 0.3)
    )
    assert hard < 0.7 < 0.95 < easy


def test_a_low_cosine_tells_strangers_that_a_score_does_not() -> None:
    known, answers = photos(500, right=0.5, seed=9, spread=0.02)
    far = photos(500, right=0.25, seed=10, spread=0.02)[0]  # as clear as the known ones, but further away
    found = calibrate(known, answers, far, **WANTED)
    assert found.cosine > 0.3
    assert share(speaks(known, found)).value > 0.9
    assert share(~speaks(far, found)).value > 0.9


def test_what_cannot_be_told_apart_is_left_unsaid() -> None:
    known, answers = photos(300, right=0.0, seed=11)
    found = calibrate(known, answers, strangers(100, seed=12), **WANTED)
    assert not speaks(known * 20, found).any()


def test_a_bank_without_strangers_is_calibrated_by_precision_alone() -> None:
    known, answers = photos(500, right=0.4, seed=13)
    found = calibrate(known, answers, torch.empty(0, LABELS), **WANTED)
    assert share(speaks(known, found)).value > 0.9


def test_scores_of_the_temperature_are_shares_of_right_answers() -> None:
    known, answers = photos(3_000, right=0.12, seed=14)
    found = calibrate(known, answers, strangers(300, seed=15), **WANTED)
    at_best = calibration_error(known, answers, temperature=found.temperature)
    assert at_best < 0.05
    assert calibration_error(known, answers, temperature=found.temperature / 8) > 0.1 > at_best


def test_measures_count_what_they_say() -> None:
    cosines = torch.tensor([[0.9, 0.5, 0.1, 0.0], [0.1, 0.3, 0.2, 0.9], [0.2, 0.6, 0.1, 0.5]])
    answers = torch.tensor([0, 2, 3])
    assert top(cosines, answers).tolist() == [True, False, False]
    assert top(cosines, answers, among=2).tolist() == [True, False, True]
    assert top(cosines, answers, among=9).all()
    found = by_class(cosines, answers, ["a", "b", "c", "d"], among=1)
    assert {name: (one.count, one.n) for name, one in found.items()} == {
        "a": (1, 1),
        "c": (0, 1),
        "d": (0, 1),
    }
    told = spoken(cosines, answers, cosines[:1], Settings(temperature=0.1, threshold=0.0, cosine=0.7))
    assert (told.coverage.count, told.precision.count, told.abstained.count) == (2, 1, 0)


def test_a_share_of_nothing_and_of_all_has_an_error() -> None:
    assert str(Share(3, 3)) == "100.0 ± 17.9 % of 3"
    assert Share(0, 0).value != Share(0, 0).value
    assert 0 < Share(300, 300).stderr == pytest.approx(Share(0, 300).stderr)


def test_one_class_that_is_taken_for_another_counts_however_few_its_photos_are() -> None:
    known, answers = photos(500, right=0.4, seed=16)
    silent, taken = strangers(400, seed=17), photos(20, right=0.4, seed=18)[0]
    told = {"near": EXACT, "precision": 0.95, "abstained": 0.9}
    strange = torch.cat([silent, taken])
    by_photos = calibrate(known, answers, strange, classes=["x"] * 420, **told)
    by_classes = calibrate(known, answers, strange, classes=["x"] * 400 + ["y"] * 20, **told)
    assert share(speaks(known, by_photos)).value > 0.9
    assert share(speaks(known, by_classes)).value < share(speaks(known, by_photos)).value - 0.1


def test_labels_that_are_near_are_as_good() -> None:
    known, answers = photos(400, right=0.4, seed=19)
    turned = answers ^ 1  # the measured label is always the neighbour of what is seen
    pairs = EXACT | EXACT[torch.arange(LABELS) ^ 1]
    exact, near = (
        calibrate(known, turned, torch.empty(0, LABELS), **WANTED | {"near": one}) for one in (EXACT, pairs)
    )
    assert not speaks(known, exact).any()
    assert share(speaks(known, near)).value > 0.9
