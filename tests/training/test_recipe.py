"""The recipe: finished stages are skipped, changed ones redone with all after them, nothing stays half."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from training.config import Base, Corpus, Embeddings, Executor, Run, Source, Tokenizer
from training.errors import CorpusError, TrainingError
from training.recipe import Outcome, Progress, Stage, Work, execute, fingerprint, home, prune

ROOT = Path(__file__).parents[2]


def make_run(out: Path, **changes: Any) -> Run:
    source = Source(name="ads", path="ads.txt", format="text", domain="listings")
    run = Run(
        name="test",
        out=str(out),
        data=str(out),
        corpus=Corpus(sources=(source,)),
        tokenizer=Tokenizer(vocabulary=600),
        embeddings=Embeddings(),
        base=Base(checkpoint="tiny"),
    )
    return run.model_copy(update=changes)


class Stages:
    """Three stages that write down that they ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails = ""

    def all(self) -> tuple[Stage, ...]:
        return (
            Stage(
                "corpus",
                lambda run: run.corpus,
                lambda run: [Path(run.data) / "ads.txt"],
                self._build("corpus"),
            ),
            Stage("tokenizer", lambda run: run.tokenizer, lambda run: [], self._build("tokenizer")),
            Stage("embeddings", lambda run: run.embeddings, lambda run: [], self._build("embeddings")),
        )

    def _build(self, name: str) -> Any:
        def build(work: Work) -> dict[str, Any]:
            assert not list(work.folder.iterdir()), "a stage that cannot resume begins with an empty folder"
            (work.folder / "half").write_text("half")
            if self.fails == name:
                raise CorpusError("broken", place="ads.txt", line=3)
            for before in work.before.values():
                assert (before / "whole").exists()
            (work.folder / "whole").write_text(name)
            self.ran.append(name)
            return {"built": len(self.ran)}

        return build


@contextlib.contextmanager
def silent(stage: str) -> Iterator[Progress]:
    yield lambda note, done, total: None


def go(run: Run, stages: Stages) -> list[Outcome]:
    return list(execute(run, stages.all(), progress=silent))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "ads.txt").write_text("Продам велосипед")
    return tmp_path


def test_a_second_run_does_nothing(out: Path) -> None:
    stages = Stages()
    first, second = go(make_run(out), stages), go(make_run(out), stages)
    assert stages.ran == ["corpus", "tokenizer", "embeddings"]
    assert [outcome.skipped for outcome in first] == [False] * 3
    assert [outcome.skipped for outcome in second] == [True] * 3
    assert [outcome.figures for outcome in second] == [outcome.figures for outcome in first]
    assert (home(make_run(out)) / "tokenizer" / "whole").read_text() == "tokenizer"


@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"embeddings": Embeddings(method="random")}, ["embeddings"]),
        ({"tokenizer": Tokenizer(vocabulary=700)}, ["tokenizer", "embeddings"]),
        ({"seed": 2}, ["corpus", "tokenizer", "embeddings"]),
        ({"tokenizer": None, "embeddings": None}, []),
    ],
)
def test_a_changed_stage_is_redone_with_all_after_it(out: Path, changes: Any, redone: list[str]) -> None:
    stages = Stages()
    go(make_run(out), stages)
    stages.ran.clear()
    go(make_run(out, **changes), stages)
    assert stages.ran == redone
    stages.ran.clear()
    go(make_run(out), stages)
    assert stages.ran == [], "what was made with the first settings is still there"


def test_another_place_or_number_of_workers_redoes_nothing(out: Path) -> None:
    stages, run = Stages(), make_run(out)
    go(run, stages)
    there = Executor(
        kind="slurm", workers=64, partition="cpu", time="1:00:00", memory_gb=8, setup="source env"
    )
    moved = run.model_copy(update={"corpus": run.corpus.model_copy(update={"executor": there})})
    assert [outcome.skipped for outcome in go(moved, stages)] == [True] * 3
    cut = run.model_copy(update={"corpus": run.corpus.model_copy(update={"executor": Executor(tasks=9)})})
    assert [outcome.skipped for outcome in go(cut, stages)] == [False] * 3


def test_changed_input_is_noticed_by_content_and_not_by_time(out: Path) -> None:
    stages = Stages()
    go(make_run(out), stages)
    (out / "ads.txt").write_text("Продам велосипед")
    os.utime(out / "ads.txt", (1, 1))
    go(make_run(out), stages)
    assert len(stages.ran) == 3
    (out / "ads.txt").write_text("Продам велосипеды")
    go(make_run(out), stages)
    assert len(stages.ran) == 6


def test_a_large_file_is_known_by_its_ends_and_time(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**27)
    before = fingerprint(path)
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert fingerprint(path) != before


def test_a_failed_stage_leaves_what_was_finished_and_nothing_half(out: Path) -> None:
    stages = Stages()
    stages.fails = "tokenizer"
    with pytest.raises(CorpusError, match=r"ads\.txt:3: broken"):
        go(make_run(out), stages)
    assert not list(home(make_run(out)).glob("tokenizer*"))
    stages.fails = ""
    assert [outcome.skipped for outcome in go(make_run(out), stages)] == [True, False, False]


def test_a_damaged_stage_is_redone(out: Path) -> None:
    stages = Stages()
    go(make_run(out), stages)
    (home(make_run(out)) / "tokenizer" / "whole").write_text("cut")
    stages.ran.clear()
    go(make_run(out), stages)
    assert stages.ran == ["tokenizer"]


def test_prune_removes_only_what_the_plan_does_not_use(out: Path) -> None:
    stages = Stages()
    go(make_run(out), stages)
    changed = make_run(out, seed=2)
    go(changed, stages)
    (home(changed) / "my-notes").mkdir()
    removed = prune(changed, stages.all())
    assert len(removed) == 3
    assert (home(changed) / "my-notes").exists()
    assert all(outcome.skipped for outcome in go(changed, stages))


def test_a_second_process_on_the_same_run_is_refused(out: Path) -> None:
    stages = Stages()
    first = execute(make_run(out), stages.all(), progress=silent)
    next(first)
    with pytest.raises(TrainingError, match="another process"):
        go(make_run(out), Stages())
    first.close()


KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests_recipe import make_run, silent
from training.recipe import Stage, execute

def build(work):
    (work.folder / "half").write_text("half")
    print("inside", flush=True)
    time.sleep(60)

stage = Stage("corpus", lambda run: run.corpus, lambda run: [], build)
list(execute(make_run(Path(sys.argv[1])), [stage], progress=silent))
"""


def test_kill_9_inside_a_stage_leaves_no_finished_stage_and_no_lock(out: Path) -> None:
    code = textwrap.dedent(KILLED).replace("from tests_recipe import", "from test_recipe import")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, cwd=ROOT, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"inside\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert next(path.name for path in home(make_run(out)).glob("corpus-*")).endswith(".partial")
    stages = Stages()
    assert [outcome.skipped for outcome in go(make_run(out), stages)] == [False] * 3
