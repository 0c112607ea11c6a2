"""Answers of two engines: what counts as equal, what as a tie, and an engine that gives none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from training.errors import CheckpointError, TrainingError
from training.handover.agreement import TIE, ask_engine, compare
from training.handover.questions import NAMES, Answer

ROOT = Path(__file__).parents[2]
ASK = """
import sys
from pathlib import Path
from training.handover.agreement import ask_engine
ask_engine(Path(sys.argv[1]), context=512, log=Path(sys.argv[1]) / "engine.log")
"""


def answers(*, lead: float = 1.0) -> list[Answer]:
    """Return answers of three tokens, the second of them `lead` nats ahead."""
    return [Answer([1, i], [5, 6, 7], [8, 9, 10], [2.0, lead, 2.0]) for i in range(len(NAMES))]


def found(last: list[int]) -> list[dict[str, list[int]]]:
    """Return the same answers, but for the last one."""
    same = [{"prompt": [1, i], "answer": [5, 6, 7]} for i in range(len(NAMES))]
    return [*same[:-1], {**same[-1], "answer": last}]


def test_equal_answers_are_counted() -> None:
    assert compare(answers(), found([5, 6, 7])) == f"{len(NAMES)} of {len(NAMES)}"


def test_a_tie_is_told_and_tolerated() -> None:
    told = compare(answers(lead=TIE / 2), found([5, 9, 3]))
    assert told.startswith(f"{len(NAMES) - 1} of {len(NAMES)}, 1 part where two tokens are less than")


@pytest.mark.parametrize(
    ("answer", "position"), [([5, 9, 7], 1), ([5, 4, 7], 1), ([5, 6], 2), ([5, 6, 7, 7], 3), ([], 0)]
)
def test_another_answer_names_prompt_and_position(answer: list[int], position: int) -> None:
    with pytest.raises(CheckpointError, match=rf"{NAMES[-1][:10]}.* position {position} "):
        compare(answers(), found(answer))


def test_a_near_tie_is_no_excuse_for_a_third_token() -> None:
    with pytest.raises(CheckpointError, match="position 1"):
        compare(answers(lead=TIE / 2), found([5, 4, 7]))


def test_other_ids_of_a_prompt_are_a_fault() -> None:
    other = [{**found([5, 6, 7])[0], "prompt": [2, 0]}, *found([5, 6, 7])[1:]]
    with pytest.raises(CheckpointError, match="other token ids"):
        compare(answers(), other)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a module that stands where vllm does in other processes."""
    (tmp_path / "vllm").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    return tmp_path / "vllm" / "__init__.py"


def test_an_engine_that_cannot_be_imported_is_told_with_the_cure(engine: Path, tmp_path: Path) -> None:
    engine.write_text("raise ImportError('libcuda is missing')")
    with pytest.raises(
        TrainingError, match=r"cannot be imported \(ImportError: libcuda is missing.*engine-cpu"
    ):
        ask_engine(tmp_path, context=512, log=tmp_path / "engine.log")


def test_an_engine_that_cannot_start_is_told_with_its_last_words(engine: Path, tmp_path: Path) -> None:
    engine.write_text("def LLM(*a, **k): raise ValueError('нет места')\nSamplingParams = LLM")
    with pytest.raises(TrainingError, match=r"status 1: ValueError: нет места \(log: .*engine\.log\)"):
        ask_engine(tmp_path, context=512, log=tmp_path / "engine.log")


def test_the_engine_dies_with_a_parent_that_is_killed(engine: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    engine.write_text(
        f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)], cwd=ROOT)
    wait_for(lambda: pid.is_file() and pid.read_text() != "")
    child = Path("/proc") / pid.read_text()
    assert child.exists()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(
        lambda: not child.exists() or child.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
    )


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
