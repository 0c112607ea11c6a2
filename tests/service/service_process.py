"""`python -m service serve` as a process of its own, as a person or an orchestrator starts and stops it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parents[2]


def deployment_text(*engines: str, card: str = "gemma3-270m") -> str:
    """Return a deployment of one version."""
    return f'default = "a"\n[versions.a]\ncard = "{card}"\nengines = {json.dumps(engines)}\n'


def fake_url(**options: object) -> str:
    return f"fake://?{urlencode(options)}"


class ServiceProcess:
    """A process of the service and its log; stdout and stderr go to one file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log's lines; each must be a JSON object."""
        return [json.loads(line) for line in self.output.splitlines()]

    @property
    def url(self) -> str:
        found = re.search(r"running on (http://[\d.:]+)", self.output)
        assert found, self.output
        return found[1]

    async def says(self, text: str, *, within_s: float = 20.0) -> None:
        """Wait until the text stands in the log."""
        await self._until(lambda: text in self.output, within_s=within_s)

    async def ended(self, *, within_s: float = 20.0) -> int:
        """Wait for the end and return the exit status."""
        return await asyncio.wait_for(self.process.wait(), within_s)

    async def _until(self, condition: Callable[[], bool], *, within_s: float) -> None:
        begun = time.monotonic()
        while not condition():
            assert self.process.returncode is None, f"ended: {self.output}"
            assert time.monotonic() - begun < within_s, self.output
            await asyncio.sleep(0.02)


@asynccontextmanager
async def service_process(
    folder: Path,
    deployment: str | bytes | Path,
    *,
    arguments: tuple[str, ...] = ("serve",),
    **environment: str,
) -> AsyncIterator[ServiceProcess]:
    """Start the service with a deployment (a path, or a file's content) and LLM_* variables."""
    if not isinstance(deployment, Path):
        content, deployment = deployment, folder / "deployment.toml"
        deployment.write_bytes(content if isinstance(content, bytes) else content.encode())
    log = folder / "service.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLM_")}
    plain = {
        "LLM_PORT": "0",
        "LLM_DEPLOYMENT": str(deployment),
        "LLM_CACHE": str(folder / "cache"),
        "LLM_EYES": "",
    }
    variables: Mapping[str, str] = {**kept, **plain, **environment}
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", *arguments, cwd=ROOT, env=variables, stdout=file, stderr=file
        )
    try:
        yield ServiceProcess(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
