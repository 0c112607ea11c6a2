"""Weights from the Hugging Face Hub: the real client, against a small hub of this machine."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Spawn = Callable[..., "subprocess.Popen[str]"]
Start = Callable[..., "subprocess.Popen[str]"]

COMMIT = "c0ffee" * 6 + "c0ff"
CHUNK = 10 * 1024**2  # what the client writes at once
WEIGHTS = bytes(range(256)) * 4096 * 25
FILES = {
    "model.safetensors": WEIGHTS,
    "consolidated.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "README.md": b"# weights",
}
URI = "hf://org/tiny@v1"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
FETCH = """
import pathlib, sys
from models.store import StoreError, fetch
uri, sha256, cache = sys.argv[1:]
try:
    print(fetch(uri, sha256={"model.safetensors": sha256}, cache=pathlib.Path(cache)))
except StoreError as error:
    sys.exit(str(error))
"""


class Hub(ThreadingHTTPServer):
    """One repository, org/tiny, with one revision; while `stalled`, weights come by half and then hang."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []
        self.stalled = False
        self.go_on = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(f"{self.command} {path}")
        if path in {"/api/models/org/tiny/revision/v1", f"/api/models/org/tiny/revision/{COMMIT}"}:
            self.answer(json.dumps({"id": "org/tiny", "sha": COMMIT}).encode())
        elif path == f"/api/models/org/tiny/tree/{COMMIT}":
            tree = [{"type": "file", "path": p, "size": len(c), "oid": _oid(c)} for p, c in FILES.items()]
            self.answer(json.dumps(tree).encode())
        elif (found := re.fullmatch(rf"/org/tiny/resolve/{COMMIT}/(.+)", path)) and found[1] in FILES:
            self.answer(FILES[found[1]], ETag=f'"{_oid(FILES[found[1]])}"')
        elif path.startswith("/api/models/org/tiny/"):
            self.answer(b'{"error": "Invalid rev id"}', status=404, **{"X-Error-Code": "RevisionNotFound"})
        else:
            self.answer(b'{"error": "Repository not found"}', status=404, **{"X-Error-Code": "RepoNotFound"})

    def answer(self, content: bytes, *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            half = len(content) // 2
            self.wfile.write(content[:half])
            if self.server.stalled and len(content) == len(WEIGHTS):
                self.wfile.flush()
                self.server.go_on.wait()
                return
            self.wfile.write(content[half:])


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def start(spawn: Spawn, tmp_path: Path, hub: Hub) -> Start:
    """Fetch in a process of its own, since the client reads its settings when it is imported."""

    def start_one(uri: str = URI, *, sha256: str = DIGEST, **environment: str) -> subprocess.Popen[str]:
        settings = {
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_ETAG_TIMEOUT": "2",
        }
        return spawn(FETCH, uri, sha256, str(tmp_path / "cache"), **settings | environment)

    return start_one


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return stdout.strip(), stderr.strip()


def test_listed_weights_come_with_what_they_need_and_nothing_else(start: Start, hub: Hub) -> None:
    stdout, stderr = finish(start())
    folder = Path(stdout)

    assert stderr == ""
    assert sorted(path.name for path in folder.iterdir()) == [
        ".manifest.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS

    asked = len(hub.requests)
    assert finish(start(HF_HUB_OFFLINE="1"))[0] == stdout  # what is there needs no network
    assert len(hub.requests) == asked


def test_run_after_a_kill_fetches_only_what_was_not_finished(start: Start, hub: Hub, tmp_path: Path) -> None:
    hub.stalled = True
    victim = start()
    records = "cache/*.partial/.cache/huggingface/download"
    deadline = time.monotonic() + 30
    # The small files come side by side with the weights; each counts as fetched once its record is written.
    while (
        sum(path.stat().st_size for path in tmp_path.glob(f"{records}/*.incomplete")) < CHUNK
        or sum(path.stat().st_size > 0 for path in tmp_path.glob(f"{records}/*.json.metadata")) < 2
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    victim.kill()
    victim.wait(timeout=30)

    hub.stalled = False
    hub.requests.clear()
    stdout, stderr = finish(start())
    assert stderr == ""
    assert (Path(stdout) / "model.safetensors").read_bytes() == WEIGHTS
    assert [request for request in hub.requests if request.startswith("GET /org")] == [
        f"GET /org/tiny/resolve/{COMMIT}/model.safetensors"
    ]
    assert [path.name for path in tmp_path.glob("cache/[!.]*")] == [Path(stdout).name]


def test_weights_other_than_promised_are_refused_and_not_kept(start: Start, tmp_path: Path) -> None:
    stdout, stderr = finish(start(sha256="0" * 64))
    assert (stdout, stderr) == (
        "",
        f"{URI}: model.safetensors has sha256 {DIGEST}, expected {'0' * 64}",
    )
    assert not list(tmp_path.glob("cache/**/model.safetensors"))


@pytest.mark.parametrize("uri", ["hf://org/tiny@v2", "hf://org/other@v1"])
def test_repository_or_revision_that_is_not_there_is_one_line(uri: str, start: Start) -> None:
    stdout, stderr = finish(start(uri))
    assert stdout == ""
    assert stderr.startswith(f"{uri}: ")
    assert "NotFoundError" in stderr
    assert "\n" not in stderr


def test_hub_out_of_reach_is_told_even_when_a_half_is_there(start: Start, tmp_path: Path) -> None:
    finish(start(sha256="0" * 64))  # leaves config.json and tokenizer.json to go on from
    stdout, stderr = finish(start(sha256="0" * 64, HF_ENDPOINT="http://127.0.0.1:9"))
    assert stdout == ""
    assert stderr.startswith(f"{URI}: ConnectError")


def test_offline_mode_is_respected_and_named(start: Start, hub: Hub) -> None:
    assert "HF_HUB_OFFLINE forbids the download" in finish(start(HF_HUB_OFFLINE="1"))[1]
    assert hub.requests == []
