"""The store of answers: shared, stable, bounded; a file that cannot be used never stops the service."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from service.answers import Answers, AnswersError
from tests.conftest import Logged
from tests.service.service_process import ROOT

LONG = b'{"aspects": ["\xd0\xba"]}' * 500


def many(num: int, *, prefix: str = "key") -> dict[str, bytes]:
    return {f"{prefix}{number}": f"value {number}".encode() for number in range(num)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "answers.sqlite"


@pytest.mark.parametrize("in_memory", [False, True])
def test_what_is_put_is_found_and_nothing_else(path: Path, in_memory: bool) -> None:
    rows = {"short": b"x", "empty": b"", "long": LONG, "binary": bytes(range(256)) * 8}
    with Answers(None if in_memory else path) as answers:
        answers.put(rows)
        assert answers.get([*rows, "other"]) == rows
        assert answers.get([]) == {}


def test_answers_outlive_the_process(path: Path) -> None:
    with Answers(path) as answers:
        answers.put(many(3000))
    with Answers(path) as answers:
        assert answers.get(many(3000)) == many(3000)


def test_the_first_value_wins(path: Path) -> None:
    with Answers(path) as one, Answers(path) as other:
        one.put({"key": b"first"})
        other.put({"key": b"second", "own": b"value"})
        assert one.get(["key", "own"]) == other.get(["key", "own"]) == {"key": b"first", "own": b"value"}


def test_a_killed_process_loses_nothing_it_had_put(path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from service.answers import Answers\n"
        "answers = Answers(Path(sys.argv[1])); answers.put({'key': b'value'})\n"
        "print(flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
    assert child.returncode == -signal.SIGKILL
    with Answers(path) as answers:
        assert answers.get(["key"]) == {"key": b"value"}


def put_own(path: Path, number: int, failed: multiprocessing.SimpleQueue[str]) -> None:
    try:
        with Answers(path, strict=True) as answers:
            for key in range(200):
                answers.put({f"{number}-{key}": b"own", f"shared-{key}": b"%d" % number})
    except AnswersError as error:
        failed.put(str(error))


def test_processes_that_start_at_once_share_the_file(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    failed = context.SimpleQueue()
    # fork: four interpreters would take longer to start than to race
    children = [context.Process(target=put_own, args=(path, number, failed)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert failed.empty()
    with Answers(path) as answers:
        found = answers.get([f"{number}-{key}" for number in range(4) for key in range(200)])
        assert len(found) == 800
        assert len(answers.get(f"shared-{key}" for key in range(200))) == 200


def test_threads_share_one_store(path: Path) -> None:
    with Answers(path) as answers:

        def work(number: int) -> None:
            for key in range(100):
                answers.put({f"{number}-{key}": b"%d" % key})
                assert answers.get([f"{number}-{key}"]) == {f"{number}-{key}": b"%d" % key}

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers.get(f"{number}-{key}" for number in range(4) for key in range(100))) == 400


@pytest.mark.parametrize("in_memory", [False, True])
def test_the_oldest_go_beyond_the_number_of_rows(path: Path, in_memory: bool) -> None:
    with Answers(None if in_memory else path, max_rows=100) as answers:
        for number in range(1000):
            answers.put({f"key{number}": b"value"})
        found = answers.get(f"key{number}" for number in range(1000))
        assert 100 <= len(found) <= 200
        assert found.keys() == {f"key{number}" for number in range(1000 - len(found), 1000)}


def test_the_oldest_go_beyond_the_age(path: Path) -> None:
    with Answers(path) as answers:
        answers.put(many(100, prefix="old"))
    time.sleep(0.2)
    with Answers(path, max_rows=10, max_age_days=0.1 / 86400) as answers:
        answers.put(many(10, prefix="new"))
        assert answers.get(many(100, prefix="old")) == {}
        assert len(answers.get(many(10, prefix="new"))) == 10


def test_the_file_is_for_its_owner_only_and_holds_no_keys(path: Path) -> None:
    with Answers(path) as answers:
        answers.put({"Продам гараж": b"value"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "гараж".encode() not in path.read_bytes()


def spoil_text(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 100)


def spoil_foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE answers (question TEXT)")
    db.close()


def spoil_folder(path: Path) -> None:
    path.mkdir()


def spoil_middle(path: Path) -> None:
    with Answers(path) as answers:
        answers.put(many(2000))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


SPOILT = {"text": spoil_text, "foreign": spoil_foreign, "folder": spoil_folder, "middle": spoil_middle}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_file_that_cannot_be_used_is_told_once_and_the_service_goes_on(
    path: Path, spoil: object, logged: Logged
) -> None:
    path.parent.mkdir()
    spoil(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with Answers(path) as answers:
        answers.get(many(2000))
        for number in range(5):
            answers.put({f"own{number}": b"value"})
        assert len(answers.get(f"own{number}" for number in range(5))) == 5
    (line,) = [line for line in logged() if line["level"] == "warning"]
    assert line["path"] == str(path)
    assert line["reason"]
    if spoil in (spoil_text, spoil_foreign):
        assert path.read_bytes() == before, "what is not ours is left alone"


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_strict_store_says_which_file_and_why(path: Path, spoil: object) -> None:
    path.parent.mkdir()
    spoil(path)  # type: ignore[operator]
    with pytest.raises(AnswersError) as caught, Answers(path, strict=True) as answers:
        answers.get(many(2000))
        answers.put({"own": b"value"})
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_told(logged: Logged) -> None:
    with Answers(Path("/proc/answers.sqlite")) as answers:
        answers.put({"key": b"value"})
        assert answers.get(["key"]) == {"key": b"value"}
    assert [line["path"] for line in logged() if line["level"] == "warning"] == ["/proc/answers.sqlite"]


def test_a_process_that_holds_the_file_delays_nobody_for_long(path: Path, logged: Logged) -> None:
    with Answers(path) as answers:
        answers.put({"before": b"value"})
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        for number in range(100):
            answers.put({f"key{number}": b"value"})
        assert time.monotonic() - begun < 1.0
        assert len(answers.get(["before", *(f"key{number}" for number in range(100))])) == 101
        holder.execute("ROLLBACK")
        holder.close()
    with Answers(path) as answers:
        assert len(answers.get(["before", *(f"key{number}" for number in range(100))])) == 101
    assert not [line for line in logged() if line["level"] == "warning"]


def test_a_full_disk_later_on_is_survived(path: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from service.answers import Answers\n"
        "answers = Answers(Path(sys.argv[1]))\n"
        "answers.put({'first': b'value'})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "import os\n"
        "for n in range(200): answers.put({f'key{n}': os.urandom(4000)})\n"
        "answers.put({'last': b'value'}); assert answers.get(['last'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "kept in memory only" in done.stdout + done.stderr


def test_a_closed_store_finds_nothing_and_complains_of_nothing(path: Path) -> None:
    answers = Answers(path)
    answers.close()
    answers.put({"key": b"value"})
    assert answers.get(["key"]) == {}
    answers.close()
