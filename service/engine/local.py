"""A vLLM of our own on this machine: started, watched, restarted, gone when the service goes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import IO

import structlog

from models.card import Card
from service.engine.base import Delta, Message, Sampling
from service.engine.command import ServerCommand, free_port, vllm_command, vllm_environment
from service.engine.vllm import VllmEngine
from service.errors import EngineDown, ServiceError

log = structlog.get_logger(__name__)

BACKOFF_S = (1, 2, 5, 10, 30, 60)  # between restarts of an engine that keeps dying
STEADY_S = 300  # an engine that lived this long starts the back-off anew
POLL_S = 0.25
LOG_MAX_BYTES = 20 * 2**20  # then one older file is kept


class EngineStartError(Exception):
    """The engine cannot be started here; one line that says why and where its log is."""


class LocalEngine:
    """Serves a card by a `vllm serve` of its own on loopback; an Engine.

    A server that ends, or gives no token to a canary (asked every `check_s`) for `hang_s`, is started anew.
    `start` must be awaited once, from the main thread (the kernel ties the leash to the starting thread).
    """

    def __init__(
        self,
        card: Card,
        *,
        card_source: str,
        cache: Path,
        on_restart: Callable[[], None],
        command: ServerCommand | None = None,
        check_s: float = 15.0,
        hang_s: float = 120.0,
    ) -> None:
        self._check_s = check_s
        self._hang_s = hang_s
        self._command = command or vllm_command
        self.card = card
        self.log_path = cache / "logs" / f"engine-{card.name}.log"
        self._card_source = card_source
        self._cache = cache
        self._on_restart = on_restart
        self._port = free_port()
        self.client = VllmEngine(
            f"http://127.0.0.1:{self._port}",
            model=card.name,
            stall_timeout_s=120,
            supports_priority=True,
            health_timeout_s=min(10.0, hang_s),
        )
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ready = False
        self._folder: Path | None = None

    async def start(self, *, timeout_s: float) -> None:
        """Fetch and unpack the weights, start the server, wait for its first token.

        Raises:
            EngineStartError: no weights, no memory, a server that ends by itself or is too slow.

        """
        try:
            async with asyncio.timeout(timeout_s):
                self._folder = await self._servable_folder()
                await self._launch()
                await self._first_token()
        except TimeoutError:
            await self._end()
            raise EngineStartError(f"no token within {timeout_s:g} s: {self._last_words()}") from None
        except BaseException:
            await self._end()
            raise
        self._watch = asyncio.create_task(self._keep_alive())

    async def generate(
        self, messages: Sequence[Message], *, sampling: Sampling, request_id: str, priority: int = 0
    ) -> AsyncGenerator[Delta, None]:
        """Stream the answer (see Engine)."""
        if not self._ready:
            raise EngineDown("the engine is starting, try again later")
        stream = self.client.generate(messages, sampling=sampling, request_id=request_id, priority=priority)
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                yield delta

    async def health(self) -> None:
        """Answer one token (see Engine)."""
        if not self._ready:
            raise EngineDown("the engine is starting")
        await self.client.health()

    async def load(self) -> int | None:
        """Return how many requests run or wait (see Engine)."""
        return await self.client.load()

    async def close(self) -> None:
        """End the server and everything it started."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self.client.close()
        await self._end()

    async def _servable_folder(self) -> Path:
        unpack = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "service.engine.unpack",
            self._card_source,
            str(self._cache),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out, _ = await unpack.communicate()
        except asyncio.CancelledError:
            unpack.kill()
            await unpack.wait()
            raise
        if unpack.returncode != 0:
            raise EngineStartError(
                f"the weights of {self.card.name} cannot be made ready (see the line above)"
            )
        return Path(out.decode().strip().splitlines()[-1])

    async def _launch(self) -> None:
        assert self._folder is not None
        command = self._command(self.card, folder=self._folder, port=self._port)
        with self._open_log() as file:
            file.write(f"\n=== {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(command)}\n".encode())
            file.flush()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "service.engine.leash",
                str(os.getpid()),
                *command,
                env=vllm_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # a Ctrl-C in the terminal is for the service, which then drains
            )

    async def _first_token(self) -> None:
        """Wait until the server has answered one token: a listening port proves nothing."""
        assert self._process is not None
        begun = told = time.monotonic()
        while True:
            if self._process.returncode is not None:
                raise EngineStartError(
                    f"the engine of {self.card.name} ended while it started: {self._last_words()}"
                )
            with suppress(ServiceError):
                await self.client.health()
                break
            await asyncio.sleep(POLL_S)
            if time.monotonic() - told >= 10:
                told = time.monotonic()
                log.info(
                    "engine is starting",
                    card=self.card.name,
                    seconds=round(told - begun),
                    log=str(self.log_path),
                )
        self._ready = True
        took = round(time.monotonic() - begun, 1)
        log.info("engine is ready", card=self.card.name, seconds=took, url=self.client.url)

    async def _keep_alive(self) -> None:
        """Restart the server whenever it ends, with a growing pause while it keeps ending."""
        failures = 0
        while True:
            assert self._process is not None
            began = time.monotonic()
            reason = await self._until_lost(self._process)
            self._ready = False
            failures = 0 if time.monotonic() - began > STEADY_S else failures
            pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failures += 1
            log.error(
                "engine lost, restarting",
                card=self.card.name,
                reason=reason,
                pause_s=pause,
                log=str(self.log_path),
            )
            self._on_restart()
            await self._end()
            await asyncio.sleep(pause)
            try:
                await self._launch()
                await self._first_token()
            except (EngineStartError, OSError) as error:
                log.error("engine did not come back", card=self.card.name, reason=str(error))

    async def _until_lost(self, process: asyncio.subprocess.Process) -> str:
        """Wait until the server has ended, or has answered no canary for too long while it lives."""
        answered = time.monotonic()
        while True:
            try:
                await asyncio.wait_for(process.wait(), self._check_s)
            except TimeoutError:
                with suppress(ServiceError):
                    await self.client.health()
                    answered = time.monotonic()
                if time.monotonic() - answered > self._hang_s:
                    return f"no token for {self._hang_s:g} s"
            else:
                return "ended"

    async def _end(self) -> None:
        """Kill the whole process group: the server's workers outlive it otherwise."""
        self._ready = False
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _open_log(self) -> IO[bytes]:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_MAX_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".1.log"))
        return self.log_path.open("ab")

    def _last_words(self) -> str:
        """Return the log's last line that names an error, for a person who has no time to read it all."""
        if not self.log_path.exists():
            return "the weights are still being fetched or unpacked"
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-200:]
        errors = [line for line in lines if "Error" in line or "error" in line]
        return f"{(errors or lines or ['no output'])[-1].strip()[:300]} (log: {self.log_path})"
