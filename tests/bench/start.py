"""Seconds from `make serve` to the first answer: on a fresh clone, and when all is in place."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from service.engine.command import free_port
from tests.bench import material
from tests.bench.connection import client, post
from tests.bench.load import ask_served
from tests.bench.report import ROOT, Result, Skipped

LIMIT_S = 1500
STOP_LIMIT_S = 90


async def run(*, quick: bool) -> Result:
    """Clone, `make serve`, ask, stop; then `make serve` again. There is no quick way to do this."""
    if quick:
        raise Skipped("it has no quick size: it sets up a whole environment")
    result = Result(
        compared="wall time from `make serve` to the first answer of POST /describe; first: fresh clone of "
        "HEAD, no .venv, no weights unpacked, pip's cache as it is; second: the same clone again"
    )
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        for name in ("fresh clone", "second start"):
            for part, value in (await _start(clone, cache=Path(folder) / "cache")).items():
                result.add(f"{name}: {part}", value, "s")
    result.details["pip_cache"] = _pip_cache()
    return result


async def _start(clone: Path, *, cache: Path) -> dict[str, float]:
    """Start, ask once, stop; return the seconds of each part as far as files and logs tell."""
    port = free_port()
    log = clone.parent / "serve.log"
    log.unlink(missing_ok=True)
    env = {"LISTING_LLM_CACHE": str(cache), "LLM_PORT": str(port), "LLM_LOG_FORMAT": "json"}
    begun = time.time()
    with _make_serve(clone, env=env, log=log) as make:
        ready = await _wait_ready(make, f"http://127.0.0.1:{port}/readyz", log)
        async with client(f"http://127.0.0.1:{port}") as service:
            body = json.dumps(material.listing(material.FEW)).encode()
            answer = await ask_served(service, post("/describe", body))
        if answer.error:
            raise RuntimeError(f"the first answer is an error: {answer.error}")
        total = time.time() - begun
    engine_s = next(
        (event["seconds"] for event in _events(log) if event.get("event") == "engine is ready"), 0.0
    )
    stamps = [path.stat().st_mtime for path in (clone / ".venv").glob(".[cg]pu-*")]
    set_up = max(0.0, max(stamps, default=begun) - begun)
    return {
        "set-up of .venv": set_up,
        "weights, service and warm-up": ready - begun - set_up - engine_s,
        "engine": engine_s,
        "first answer": answer.total_s,
        "all": total,
    }


@contextmanager
def _make_serve(clone: Path, *, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    ours = ("LLM_", "VIRTUAL_ENV", "MAKE")  # a make of our own hands its flags down
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with log.open("ab") as file:
        make = subprocess.Popen(
            ["make", "serve"],
            cwd=clone,
            env={**inherited, **env},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield make
    finally:
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(make.pid, sig)
                make.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                pass
            break
        make.wait()


async def _wait_ready(make: subprocess.Popen[bytes], url: str, log: Path) -> float:
    until = time.monotonic() + LIMIT_S
    async with aiohttp.ClientSession() as session:
        while make.poll() is None and time.monotonic() < until:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return time.time()
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError(f"`make serve` does not get ready: {log.read_text(errors='replace')[-2000:]}")


def _events(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def _pip_cache() -> str:
    """Tell how much pip had on this machine: with its cache cold, set-up also waits for the network."""
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "pip", "cache", "info"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    sizes = [line.strip() for line in told.splitlines() if "Size" in line or "Number" in line]
    return "; ".join(sizes) or "unknown"
