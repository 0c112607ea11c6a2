"""Возвраты: куда вернуться, что пропустить, когда сдаться, и что из сохранённого ещё годится."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from training.errors import CheckpointError, SpikeError, TrainingError
from training.optimization import Guard
from training.packed.order import actual
from training.trainer.rewinds import Rewinds

ROWS = 4  # строк в шаге


def samples(rewinds: Rewinds, step: int) -> np.ndarray:
    """Свои номера строк шага с учётом пропусков."""
    return actual(np.arange(step * ROWS, (step + 1) * ROWS), skips=rewinds.skips)


def spike(
    rewinds: Rewinds, step: int, *, checkpoints: tuple[int, ...] = (0,), loss: float = 9.0, **changes: int
):
    """Всплеск на шаге: план и запись о нём."""
    planned = rewinds.plan(
        step,
        samples=samples(rewinds, step),
        batch_rows=ROWS,
        settings=Guard(**changes),
        loss=loss,
        gradient_norm=30.0,
        reason="loss 9 is above 3",
        checkpoints=checkpoints,
    )
    rewinds.add(planned)
    return planned


@pytest.fixture
def rewinds(tmp_path: Path) -> Rewinds:
    return Rewinds(tmp_path / "rewinds.json")


def test_it_goes_back_to_the_newest_checkpoint_and_skips_the_step(rewinds: Rewinds) -> None:
    found = spike(rewinds, 25, checkpoints=(0, 10, 20))
    assert (found.to_step, found.skipped, found.skipped_steps, found.attempt) == (20, (100, 104), (25, 26), 1)
    assert rewinds.skips == ((100, 104),) and rewinds.timeline == 1
    assert samples(rewinds, 24).tolist() == [96, 97, 98, 99], "что было раньше, осталось"
    assert samples(rewinds, 25).tolist() == [104, 105, 106, 107]


def test_margin_and_widths_are_settings(rewinds: Rewinds) -> None:
    found = spike(rewinds, 25, checkpoints=(0, 10, 20, 25), margin=6, skip_before=3, skip_after=2)
    assert (found.to_step, found.skipped) == (10, (88, 112))


def test_what_the_checkpoint_has_consumed_is_not_skipped(rewinds: Rewinds) -> None:
    found = spike(rewinds, 25, checkpoints=(0, 24), skip_before=100)
    assert (found.to_step, found.skipped) == (24, (96, 104))


def test_the_same_place_skips_further_and_goes_back_further(rewinds: Rewinds) -> None:
    checkpoints = (0, 10, 20)
    first = spike(rewinds, 25, checkpoints=checkpoints)
    second = spike(rewinds, 25, checkpoints=checkpoints)
    third = spike(rewinds, 26, checkpoints=checkpoints)
    assert [one.attempt for one in (first, second, third)] == [1, 2, 3]
    assert [one.to_step for one in (first, second, third)] == [20, 10, 0]
    assert second.skipped_steps == (24, 27) and third.skipped_steps == (24, 30)
    assert second.skipped == (96, 112), "шаг до пропуска, сам пропуск и два шага за ним"
    assert rewinds.skips == ((96, third.skipped[1]),)


def test_another_place_begins_from_one(rewinds: Rewinds) -> None:
    spike(rewinds, 25)
    assert spike(rewinds, 25 + 10, near=10).attempt == 1
    assert spike(rewinds, 12, near=10).attempt == 1, "до пропуска: другое место"
    assert spike(rewinds, 35 + 5, near=10).attempt == 2


def test_after_so_many_tries_the_run_ends_with_its_record_intact(rewinds: Rewinds, tmp_path: Path) -> None:
    for _ in range(3):
        spike(rewinds, 25, checkpoints=(0, 20), tries=3)
    before = (tmp_path / "rewinds.json").read_bytes()
    with pytest.raises(SpikeError, match=r"step 25: loss 9 is above 3; 3 rewinds .* learning_rate") as raised:
        spike(rewinds, 25, checkpoints=(0, 20), tries=3)
    assert str(tmp_path) in str(raised.value) and isinstance(raised.value, TrainingError)
    assert (tmp_path / "rewinds.json").read_bytes() == before and rewinds.timeline == 3


def test_nan_at_step_0_on_two_batches_is_not_the_data(rewinds: Rewinds) -> None:
    assert spike(rewinds, 0, loss=math.nan).skipped == (0, ROWS)
    with pytest.raises(SpikeError, match=r"step 0: .* not the data: .* base.* precision .* learning_rate"):
        spike(rewinds, 0, loss=math.nan)


def test_a_checkpoint_of_an_abandoned_course_is_not_usable(rewinds: Rewinds) -> None:
    spike(rewinds, 25, checkpoints=(0, 10, 20))
    assert rewinds.usable(20, 0) and rewinds.usable(10, 0)
    assert not rewinds.usable(25, 0), "сохранён до возврата к шагу 20"
    assert rewinds.usable(25, 1)
    spike(rewinds, 25, checkpoints=(0, 10, 20))
    assert not rewinds.usable(20, 0) and not rewinds.usable(20, 1) and rewinds.usable(10, 0)


def test_the_record_survives_the_process(rewinds: Rewinds, tmp_path: Path) -> None:
    spike(rewinds, 25, checkpoints=(0, 20))
    spike(rewinds, 60, checkpoints=(0, 20), loss=math.nan)
    again = Rewinds(tmp_path / "rewinds.json")
    assert again.history[0] == rewinds.history[0] and math.isnan(again.history[1].loss)
    assert again.skips == rewinds.skips and again.timeline == 2
    json.loads((tmp_path / "rewinds.json").read_bytes(), parse_constant=pytest.fail)


def test_another_process_follows_without_writing(tmp_path: Path) -> None:
    main, other = Rewinds(tmp_path / "rewinds.json"), Rewinds(tmp_path / "nowhere" / "rewinds.json")
    other.add(spike(main, 25), write=False)
    assert other.skips == main.skips and not (tmp_path / "nowhere").exists()


def test_what_cannot_be_written_is_not_counted(tmp_path: Path) -> None:
    rewinds = Rewinds(tmp_path / "gone" / "rewinds.json")
    with pytest.raises(OSError, match="gone"):
        spike(rewinds, 25)
    assert rewinds.timeline == 0 and rewinds.skips == ()


@pytest.mark.parametrize("content", ["", "[{", '[{"step": 3}]', '{"a": 1}'])
def test_a_damaged_record_is_one_clear_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "rewinds.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"rewinds\.json: the record of rewinds is damaged") as raised:
        Rewinds(tmp_path / "rewinds.json")
    assert "\n" not in str(raised.value)
