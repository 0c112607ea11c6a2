"""An engine never outlives the service, however either of them ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.service.processes import children, leashes, members, wait_until
from tests.service.service_process import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")

# An engine with a worker and a worker's worker, of which one ignores SIGTERM.
ENGINE = ["bash", "-c", "bash -c 'trap \"\" TERM; sleep 600 & sleep 601' & sleep 602"]
QUICK_ENGINE = ["bash", "-c", "sleep 600 & sleep 0.2; exit 7"]
SERVICE = """
import os, subprocess, sys
command = [sys.executable, "-m", "service.engine.leash", str(os.getpid()), *sys.argv[1:]]
subprocess.Popen(command, start_new_session=True, stdout=sys.stdout).wait()
sys.stdin.read()
"""


class Family:
    """A stand-in for the service, the leash it holds and the engine's processes."""

    def __init__(self, engine: list[str], *, num_processes: int) -> None:
        self.service = subprocess.Popen(
            [sys.executable, "-c", SERVICE, *engine],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: leashes(self.service.pid))
        (self.leash,) = leashes(self.service.pid)
        wait_until(lambda: len(members(self.leash)) >= num_processes)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.leash, signal.SIGKILL)
        self.service.kill()
        self.service.communicate()


@pytest.fixture
def family() -> Iterator[Family]:
    built = Family(ENGINE, num_processes=6)
    yield built
    built.end()


def test_the_whole_family_runs_in_the_leashes_group(family: Family) -> None:
    commands = " ".join(members(family.leash).values())
    assert all(f"sleep 60{n}" in commands for n in range(3))


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_survives_the_service(family: Family, sig: signal.Signals) -> None:
    family.service.send_signal(sig)
    wait_until(lambda: not members(family.leash))


def test_nothing_survives_a_stop_of_the_leash(family: Family) -> None:
    os.kill(family.leash, signal.SIGTERM)
    wait_until(lambda: not members(family.leash))


def test_nothing_survives_the_engines_first_process(family: Family) -> None:
    (engine,) = children(family.leash, command="sleep 602")
    os.kill(engine, signal.SIGKILL)
    wait_until(lambda: not members(family.leash))


def test_the_engine_dies_with_a_leash_that_was_killed(family: Family) -> None:
    (engine,) = children(family.leash, command="sleep 602")
    os.kill(family.leash, signal.SIGKILL)
    wait_until(lambda: engine not in members(family.leash))


def test_an_engine_that_ends_by_itself_takes_its_workers_along_and_its_status_is_told() -> None:
    built = Family(QUICK_ENGINE, num_processes=3)
    wait_until(lambda: not members(built.leash))
    built.service.kill()
    output, _ = built.service.communicate()
    assert "the engine ended with status 7" in output


def test_a_service_that_died_before_the_leash_was_ready_starts_nothing() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "service.engine.leash", "1", "touch", "/nonexistent/never"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        start_new_session=True,
    )
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
