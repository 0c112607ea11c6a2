"""One real service over one real vLLM for all contract tests, started as a person starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START_S = 600  # the first start of a machine also unpacks the weights
END_S = 90


@dataclass
class RealService:
    """A running `python -m service serve` with the shipped deployment."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the log's events of a name."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in parsed if event.get("event") == name]

    def ready(self) -> bool:
        """Ask /readyz."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def wait_until_ready(self, *, timeout_s: float) -> None:
        """Poll /readyz; fail with the log's end if the service ends or stays silent."""
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            tail = self.log.read_text(encoding="utf-8")[-3000:]
            assert self.process.poll() is None, f"the service ended:\n{tail}"
            assert time.monotonic() < deadline, f"not ready after {timeout_s} s:\n{tail}"
            time.sleep(0.5)

    def engine_processes(self) -> list[int]:
        """Return the pids of everything that the service started: the leash's process group."""
        leashes = [pid for pid, parent, _, _ in processes() if parent == self.process.pid]
        return [pid for pid, _, group, state in processes() if group in leashes and state != "Z"]


def processes() -> list[tuple[int, int, int, str]]:
    """Return (pid, parent, process group, state) of all processes."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent, group = re.sub(r"^.*\)", "", text).split()[:3]
        found.append((int(stat.parent.name), int(parent), int(group), state))
    return found


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(log: Path, **settings: str) -> Iterator[RealService]:
    """Start `python -m service serve` with these LLM_ settings, yield it ready, end it by SIGTERM."""
    port = free_port()
    told = {"LLM_PORT": str(port), "LLM_LOG_FORMAT": "json", "LLM_ANSWERS": ":memory:"} | settings
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"], cwd=ROOT, env=os.environ | told, stdout=file,
            stderr=file,
        )  # fmt: skip
    service = RealService(f"http://127.0.0.1:{port}", process, log)
    try:
        service.wait_until_ready(timeout_s=START_S)
        yield service
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def real_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """The default checkpoint on a real vLLM."""
    with serving(tmp_path_factory.mktemp("service") / "service.log") as service:
        yield service


@pytest.fixture(scope="session")
def vllm_url(real_service: RealService) -> str:
    """Return the address of the vLLM behind the service."""
    return str(real_service.events("engine is ready")[0]["url"])
