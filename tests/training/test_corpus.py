"""The corpus stage as a whole: every document is accounted for, faults go for a reason, kills do no harm."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from training import corpus
from training.cleaning.accounts import read_documents
from training.config import Corpus, Evaluation, Executor, Run, Source
from training.errors import CorpusError, TrainingError
from training.recipe import Outcome, Progress, execute

ROOT = Path(__file__).parents[2]
QUESTION = (
    "Какой газ составляет наибольшую часть атмосферы Земли по объёму и при этом почти не вступает в реакции?"
)
SOURCES = tuple(
    Source(name=f"made-{domain}", made=number, domain=domain, profile=domain)
    for domain, number in (("listings", 400), ("reviews", 150))
)


def make_run(out: Path, *, sources: tuple[Source, ...] = SOURCES, tasks: int = 2, **changes: Any) -> Run:
    executor = Executor(tasks=tasks, workers=1)
    settings = Corpus(sources=sources, executor=executor, held_out=0.05).model_copy(update=changes)
    return Run(name="test", seed=3, out=str(out / "out"), data=str(out), corpus=settings)


@contextlib.contextmanager
def silent(stage: str) -> Iterator[Progress]:
    yield lambda note, done, total: None


def clean(run: Run) -> Outcome:
    (outcome,) = execute(run, [corpus.STAGE], progress=silent)
    return outcome


def documents(folder: Path) -> list[dict[str, Any]]:
    return [document for path in sorted(folder.rglob("*.jsonl.zst")) for document in read_documents(path)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return clean(make_run(tmp_path_factory.mktemp("made")))


def test_every_document_is_kept_held_out_or_dropped_for_a_reason(made: Outcome) -> None:
    kept, held_out, dropped = (documents(made.folder / part) for part in ("data", "heldout", "dropped"))
    names = [document["id"] for document in kept + held_out + dropped]
    assert sorted(names) == sorted(set(names))
    assert len(names) == made.figures["documents read"] == 550
    assert all(document["metadata"]["filter_reason"] for document in dropped)
    report = json.loads((made.folder / "report.json").read_text(encoding="utf-8"))
    assert report["kept"]["documents"] == len(kept)
    assert report["held_out"]["documents"] == len(held_out)
    assert sum(row["documents"] for row in report["reasons"]) == len(dropped)
    for source in report["sources"]:
        assert source["read"] >= source["kept"] + sum(source["dropped"].values())


def test_planted_faults_go_and_good_documents_stay(made: Outcome) -> None:
    gone = Counter(
        (document["metadata"]["planted"], document["metadata"]["filter_reason"])
        for document in documents(made.folder / "dropped")
    )
    stayed = Counter(
        document["metadata"]["planted"]
        for part in ("data", "heldout")
        for document in documents(made.folder / part)
    )
    assert stayed["language"] == stayed["junk"] == 0
    # Of two texts alike either may be the one that goes.
    alike: Counter[str] = Counter()
    for (_, reason), number in gone.items():
        if reason.endswith("duplicate"):
            alike[reason] += number
    planted = sum(number for (fault, _), number in gone.items() if fault.endswith("duplicate"))
    planted += stayed["duplicate"] + stayed["near_duplicate"]
    assert 0.8 * planted < alike.total() < 1.3 * planted
    assert all(alike[reason] for reason in ("exact_duplicate", "near_duplicate"))
    assert not [reason for fault, reason in gone if not fault and not reason.endswith("duplicate")]


def test_no_contact_is_left(made: Outcome) -> None:
    contacts = [
        one["text"] for one in documents(made.folder / "data") if one["metadata"]["planted"] == "contact"
    ]
    assert contacts
    assert all("[телефон]" in text or "[почта]" in text for text in contacts)
    assert not any("@mail" in text for text in contacts)


def test_the_report_is_a_page_that_escapes_what_it_shows(tmp_path: Path) -> None:
    text = "<script>alert(1)</script>"
    (tmp_path / "ads.txt").write_text(
        f"{text}\nПродам хороший велосипед, почти новый, на ходу. Торг.", encoding="utf-8"
    )
    source = Source(
        name="ads", path="ads.txt", format="text", documents="line", domain="listings", profile="listings"
    )
    outcome = clean(make_run(tmp_path, sources=(source,), held_out=0.0))
    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "ads" in page
    assert text not in page


@pytest.mark.parametrize("tasks", [1, 5])
def test_what_is_kept_does_not_depend_on_the_number_of_tasks(
    made: Outcome, tmp_path: Path, tasks: int
) -> None:
    again = clean(make_run(tmp_path, tasks=tasks))
    for part in ("data", "heldout"):
        before, after = (
            sorted(one["text"] for one in documents(folder / part)) for folder in (made.folder, again.folder)
        )
        assert after == before


def test_a_question_of_an_evaluation_set_is_never_trained_on(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "exam.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"question": QUESTION, "choices": ["Азот", "Кислород"]}, ensure_ascii=False))
    filler = "Вчера на уроке разбирали состав воздуха и спорили о климате. "
    texts = [
        filler + QUESTION.upper() + " Азот.",
        filler * 2 + "Потом все пошли домой, и никто не спрашивал о газах.",
    ]
    (tmp_path / "ads.txt").write_text("\n".join(texts), encoding="utf-8")
    source = Source(
        name="ads", path="ads.txt", format="text", documents="line", domain="prose", profile="reviews"
    )
    exam = Evaluation(name="exam", path="exam.jsonl.gz", text=("question", "choices"))
    outcome = clean(make_run(tmp_path, sources=(source,), held_out=0.0, evaluations=(exam,)))
    assert [one["text"] for one in documents(outcome.folder / "data")] == [texts[1].strip()]
    (lost,) = documents(outcome.folder / "dropped")
    assert lost["metadata"]["filter_reason"] == "evaluation"


def test_nothing_left_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "ads.txt").write_text("1234567\n", encoding="utf-8")
    source = Source(name="ads", path="ads.txt", format="text", domain="listings", profile="listings")
    with pytest.raises(CorpusError, match="nothing is left of 1 document"):
        clean(make_run(tmp_path, sources=(source,)))


def test_a_bad_line_ends_the_run_with_its_place_and_can_be_dropped_instead(tmp_path: Path) -> None:
    good = json.dumps({"text": "Продам хороший велосипед, почти новый, на ходу. Торг."}, ensure_ascii=False)
    (tmp_path / "ads.jsonl").write_text(f"{good}\n{{broken\n", encoding="utf-8")
    source = Source(name="ads", path="ads.jsonl", domain="listings", profile="listings")
    with pytest.raises(TrainingError, match=r"ads\.jsonl:2: "):
        clean(make_run(tmp_path, sources=(source,), held_out=0.0))
    assert not (tmp_path / "out" / "test" / "corpus").exists()
    outcome = clean(make_run(tmp_path, sources=(source,), held_out=0.0, bad_lines="drop"))
    assert outcome.figures["documents kept"] == 1
    assert outcome.figures["documents read"] == 2


def test_an_unknown_profile_is_told_before_anything_is_read(tmp_path: Path) -> None:
    source = Source(name="ads", made=10, domain="listings", profile="adverts")
    with pytest.raises(TrainingError, match="adverts"):
        clean(make_run(tmp_path, sources=(source,)))


KILLED = """
import sys
from pathlib import Path
import test_corpus
if __name__ == "__main__":
    test_corpus.clean(test_corpus.make_run(Path(sys.argv[1]), tasks=4))
"""


def test_kill_9_in_the_middle_and_the_same_command_gives_the_same_corpus(
    made: Outcome, tmp_path: Path
) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    command = [sys.executable, str(tmp_path / "killed.py"), str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("out/test/*.partial/logs/*/completions/*"))) < 6:
        assert process.poll() is None, "it was through before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "test" / "corpus").exists()
    again = clean(make_run(tmp_path, tasks=4))
    for part in ("data", "heldout", "dropped"):
        before, after = (
            sorted(one["id"] for one in documents(folder / part)) for folder in (made.folder, again.folder)
        )
        assert after == before
