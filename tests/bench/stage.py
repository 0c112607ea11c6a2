"""Sets up what is measured: fake engine and service, each in a process of its own, gone at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from models.card import Card, load_card
from models.prompts import Message, render
from models.store import default_cache
from service.asking import sampling_of
from service.deployment import load_deployment
from service.engine.base import Sampling
from service.engine.command import free_port
from service.engine.leash import die_with_parent
from service.engine.local import EngineStartError, LocalEngine
from service.tasks.describe import DESCRIBE
from tests.bench import material
from tests.bench.report import ROOT

VERSION = "bench"
START_LIMIT_S = 60
REAL_START_LIMIT_S = 900
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(kw_only=True)
class Stage:
    """Addresses and processes of one set-up."""

    engine_url: str
    service_url: str
    service_pid: int
    card: Card

    async def play(self, text: str, *, first_token_s: float, token_s: float) -> None:
        """Have the fake engine answer `text` at this pace from now on."""
        script = {"tokens": material.tokens(text), "first_token_s": first_token_s, "token_s": token_s}
        async with aiohttp.ClientSession() as session:
            await session.post(f"{self.engine_url}/script", data=orjson.dumps(script))

    def service_cpu_s(self) -> float:
        """Return the processor seconds that the service's process has used."""
        fields = Path(f"/proc/{self.service_pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK  # utime, stime


def engine_request(body: Mapping[str, Any], card: Card) -> tuple[list[Message], Sampling]:
    """Return what the service asks of the engine for a body: the same messages, the same sampling."""
    request = DESCRIBE.request.model_validate(body)
    (prompt,) = DESCRIBE.prompts(request)
    messages = render(*card.tasks[prompt.section].template, prompt.fields)
    return messages, sampling_of(card, prompt)


@contextmanager
def process(
    command: list[str], *, env: Mapping[str, str], log: Path, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that ends with this block, and with this process however that dies."""
    with log.open("ab") as file:
        options = {"stdout": file, **options}
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **env},
            stderr=file,
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),
            **options,
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@asynccontextmanager
async def service(
    engine_url: str, *, card: str, settings: Mapping[str, str]
) -> AsyncIterator[tuple[str, int]]:
    """Run `python -m service serve` before an engine; yield its address and process id once it is ready."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        deployment = Path(folder) / "deployment.toml"
        deployment.write_text(
            f'default = "{VERSION}"\n[versions.{VERSION}]\ncard = "{card}"\nengines = ["{engine_url}"]\n'
        )
        port = free_port()
        env = {"LLM_PORT": str(port), "LLM_DEPLOYMENT": str(deployment), "LLM_LOG_FORMAT": "json", **settings}
        log = Path(folder) / "service.log"
        with process([sys.executable, "-m", "service", "serve"], env=env, log=log) as child:
            url = f"http://127.0.0.1:{port}"
            await _ready(url, child, log)
            yield url, child.pid


def default_card() -> str:
    """Return the card of the default version of service/deployment.toml, or of the file LLM_DEPLOYMENT."""
    deployment = load_deployment(
        Path(os.environ.get("LLM_DEPLOYMENT") or ROOT / "service" / "deployment.toml")
    )
    return deployment.versions[deployment.default].card


@asynccontextmanager
async def real_service(
    *, card: str | None = None, settings: Mapping[str, str] | None = None, engine_args: str = ""
) -> AsyncIterator[str]:
    """Run a real vLLM (or use the one at BENCH_ENGINE_URL) and the service before it; yield its address.

    Answers are kept in memory, so that every run asks the engine anew.
    """
    card = card or default_card()
    environment = {"LLM_DEFAULT_DEADLINE_S": "300", "LLM_ANSWERS": ":memory:", **(settings or {})}
    if running := os.environ.get("BENCH_ENGINE_URL"):
        async with service(running, card=card, settings=environment) as (url, _):
            yield url
        return
    previous = os.environ.get("LLM_ENGINE_ARGS", "")
    os.environ["LLM_ENGINE_ARGS"] = f"{previous} {engine_args}".strip()
    local = LocalEngine(load_card(card), card_source=card, cache=default_cache(), on_restart=lambda: None)
    try:
        await local.start(timeout_s=REAL_START_LIMIT_S)
        async with service(local.client.url, card=card, settings=environment) as (url, _):
            yield url
    except EngineStartError as error:
        raise RuntimeError(str(error)) from None
    finally:
        await local.close()
        os.environ["LLM_ENGINE_ARGS"] = previous


async def _ready(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + START_LIMIT_S
    async with aiohttp.ClientSession() as session:
        while child.poll() is None and loop.time() < until:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError(f"the service does not get ready: {log.read_text()[-1000:]}")


@asynccontextmanager
async def stage(*, precise: bool = False, **settings: object) -> AsyncIterator[Stage]:
    """Run the fake engine and the service before it; `settings` are the service's, without LLM_."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / f"{VERSION}.toml"
        material.write_card(path)
        card = load_card(path)
        identity = {
            "model": card.name,
            "vocab_size": card.vocab_size,
            "context_length": card.context_length,
            "probe_ids": material.PROBE_IDS,
        }
        command = [sys.executable, "-m", "tests.bench.engine_server", orjson.dumps(identity).decode()]
        command.append("precise" if precise else "fast")
        with process(command, env={}, log=Path(folder) / "engine.log", stdout=subprocess.PIPE) as engine:
            assert engine.stdout is not None
            engine_url = f"http://127.0.0.1:{int(engine.stdout.readline())}"
            env = {f"LLM_{name.upper()}": str(value) for name, value in settings.items()}
            async with service(engine_url, card=str(path), settings=env) as (url, pid):
                yield Stage(engine_url=engine_url, service_url=url, service_pid=pid, card=card)
