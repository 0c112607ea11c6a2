"""Доски: продолжение не двоит шаги, недостающий пакет назван, упавшая доска не валит обучение."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.errors import TrainingError
from training.optimization import Tracking
from training.trainer.boards import Boards, open_boards


def test_tensorboard_shows_the_present_course(tmp_path: Path) -> None:
    for start, loss in ((0, 1.0), (3, 2.0)):  # второй раз: продолжение с шага 3
        boards = open_boards(Tracking(), folder=tmp_path, run_name="r", config={}, step=start)
        for step in range(start, 6):
            boards.write(step, {"loss": loss, "mfu": None})
        boards.close()
    boards = open_boards(Tracking(), folder=tmp_path, run_name="r", config={}, step=6)
    boards.go_back(5)
    boards.write(5, {"loss": 3.0})
    boards.close()
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [(one.step, one.value) for one in found] == [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]


def test_boards_take_every_nth_step(tmp_path: Path) -> None:
    boards = open_boards(Tracking(every_steps=3), folder=tmp_path, run_name="r", config={})
    for step in range(7):
        boards.write(step, {"loss": 1.0})
    boards.close()
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [one.step for one in found] == [0, 3, 6]


def test_wandb_offline_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracking = Tracking(tensorboard=False, wandb="listings")
    for step in (0, 1):
        boards = open_boards(tracking, folder=tmp_path, run_name="r", config={"rate": 1}, step=step)
        boards.write(step, {"loss": 1.0})
        boards.close()
    runs = [path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*")]
    assert len(runs) == 2 and set(runs) == {(tmp_path / "wandb-id").read_text()}


@pytest.mark.parametrize(
    ("tracking", "package"),
    [(Tracking(tensorboard=False, wandb="p"), "wandb"), (Tracking(), "torch.utils.tensorboard")],
)
def test_a_missing_package_is_named_with_its_command(
    tracking: Tracking, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TrainingError, match=rf"pip install {package.rpartition('.')[2]}"):
        open_boards(tracking, folder=tmp_path, run_name="r", config={})


def test_a_board_that_cannot_be_opened_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tensorboard").write_text("здесь файл, а не папка")
    with caplog.at_level(logging.WARNING):
        boards = open_boards(Tracking(), folder=tmp_path, run_name="r", config={})
        boards.write(0, {"loss": 1.0})
        boards.close()
    assert [record.name for record in caplog.records] == ["training.trainer.boards"]


def test_a_board_that_fails_later_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Board:
        def __init__(self, *, lasts: int) -> None:
            self.lasts, self.shown = lasts, list[int]()

        def write(self, step: int, figures: object) -> None:
            if step >= self.lasts:
                raise ConnectionError("сеть пропала")
            self.shown.append(step)

        def go_back(self, step: int) -> None: ...

        def close(self) -> None: ...

    short, long = Board(lasts=2), Board(lasts=9)
    boards = Boards([lambda: short, lambda: long])
    for step in range(5):
        boards.write(step, {"loss": 1.0})
    assert (short.shown, long.shown) == ([0, 1], [0, 1, 2, 3, 4])
    assert len(caplog.records) == 1 and "сеть пропала" in caplog.text
