"""Журнал и график: переживают обрыв, говорят последнее слово о каждом шаге."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from training.trainer.plot import draw
from training.trainer.records import Log, curve, read_log


def steps(log: Log, first: int, end: int, *, loss: float) -> None:
    for step in range(first, end):
        figures = {"bits_per_character": loss / 2, "gradient_norm": 1.0, "learning_rate": 1e-3}
        log.write("step", step=step, loss=loss, tokens=(step + 1) * 100, **figures)


def with_rewinds(path: Path, *, loss: float = 30.0) -> Path:
    """Старт, обрыв с повтором шагов, всплеск на шаге 8 и возврат к 4."""
    with Log(path) as log:
        log.write("start", step=0)
        steps(log, 0, 6, loss=3.0)
    with Log(path) as log:
        log.write("resume", step=4)
        steps(log, 4, 8, loss=2.0)
        log.write("spike", step=8, loss=loss, gradient_norm=90.0, reason="loss")
        log.write("rewind", step=8, to_step=4, skipped=(32, 36), skipped_steps=(8, 9), attempt=1)
        steps(log, 4, 10, loss=1.0)
        log.write("end", step=10)
    return path


def test_every_line_is_an_object_with_event_and_time(tmp_path: Path) -> None:
    with Log(tmp_path / "new" / "log.jsonl") as log:
        log.write("spike", step=3, loss=math.nan, gradient_norm=math.inf, reason="потери — не число")
        on_disk = (tmp_path / "new" / "log.jsonl").read_text(encoding="utf-8")
    record = json.loads(on_disk, parse_constant=pytest.fail)
    assert record.pop("time") > 0
    expected = {"event": "spike", "step": 3, "loss": None, "gradient_norm": None}
    assert record == {**expected, "reason": "потери — не число"}


@pytest.mark.parametrize("rest", [b"", b'{"event": "st', b'{"event": "step", "step": 9}', b"x" * 200_000])
def test_a_half_line_is_cut_off_and_writing_goes_on(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path) as log:
        steps(log, 0, 2, loss=1.0)
    path.write_bytes(path.read_bytes() + rest)
    assert [record["step"] for record in read_log(path)] == [0, 1]
    with Log(path) as log:
        steps(log, 2, 3, loss=1.0)
    assert [record["step"] for record in read_log(path)] == [0, 1, 2]


def test_a_log_of_nothing_but_half_a_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"event"')
    Log(path).close()
    assert path.read_bytes() == b"" and read_log(path) == []


def test_the_curve_has_the_last_word_on_each_step(tmp_path: Path) -> None:
    found = curve(read_log(with_rewinds(tmp_path / "log.jsonl")))
    assert [(one["step"], one["loss"]) for one in found.steps] == [
        *((step, 3.0) for step in range(4)),
        *((step, 1.0) for step in range(4, 10)),
    ]
    assert [(one["step"], one["loss"]) for one in found.abandoned[0]] == [
        *((step, 2.0) for step in range(4, 8)),
        (8, 30.0),
    ]
    assert [(one["step"], one["to_step"]) for one in found.rewinds] == [(8, 4)]


def test_a_new_start_forgets_what_was_before(tmp_path: Path) -> None:
    path = with_rewinds(tmp_path / "log.jsonl")
    with Log(path) as log:
        log.write("start", step=0)
        steps(log, 0, 1, loss=7.0)
    found = curve(read_log(path))
    assert [one["loss"] for one in found.steps] == [7.0] and not found.rewinds and not found.abandoned


@pytest.mark.parametrize("loss", [30.0, math.nan])
def test_the_plot_shows_a_rewind(tmp_path: Path, loss: float) -> None:
    draw(with_rewinds(tmp_path / "log.jsonl", loss=loss), tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as image:
        colours = image.convert("RGB").getcolors(2**20)
    assert colours and (213, 94, 0) in {colour for _, colour in colours}, "ветвь, что взята назад"


def test_a_log_without_steps_gives_a_plot(tmp_path: Path) -> None:
    with Log(tmp_path / "log.jsonl") as log:
        log.write("start", step=0)
    draw(tmp_path / "log.jsonl", tmp_path / "loss.png")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["log.jsonl", "loss.png"]
