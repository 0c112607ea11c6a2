"""The parent's side of the eyes' worker: starts it, asks it, ends it, and knows when to leave it alone."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from models.errors import StoreError
from models.eyes import CaptionCard
from models.store import fetch
from service import workers
from service.captions import Cosines
from service.photos import Pixels
from service.workers import Process

__all__ = ["EyesWorker", "Refused", "Setup"]

WORKER: Final = "service.looking:serve"
_FAULTS_MAX = 3  # one after another; each costs a start of some seconds

_log = structlog.get_logger(__name__)


class Refused(Exception):
    """The worker says why it cannot do what it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a model is run; times in seconds. `worker`: a function of a module, run in the process."""

    cache: Path
    num_threads: int = 2
    device: str = "cpu"
    timeout_s: float = 10.0
    start_timeout_s: float = 300.0
    pause_s: float = 60.0
    worker: str = WORKER


class EyesWorker:
    """One process at most. `failure`: why there is none, after a start or three batches that failed."""

    def __init__(self, card: CaptionCard, texts: Sequence[Sequence[str]], setup: Setup) -> None:
        self.failure: str | None = None
        self._card = card
        self._texts = texts
        self._setup = setup
        self._process: Process | None = None
        self._started: list[Process] = []
        self._faults, self._retry_at, self._closed = 0, 0.0, False

    @property
    def ready(self) -> bool:
        """Tell whether the model is loaded."""
        return self._process is not None and self._process.returncode is None

    async def wake(self) -> bool:
        """Have the model loaded; after a failure nothing is tried for a while."""
        if self.ready:
            return True
        if time.monotonic() < self._retry_at or self._closed:
            return False
        try:
            self._process = await self._loaded()
            self.failure = None
        except TimeoutError:
            self._give_up(f"it did not load within {self._setup.start_timeout_s:g} s")
        except (EOFError, ConnectionError):
            self._give_up("the process ended while it loaded the model")
        except (StoreError, OSError, Refused) as error:
            self._give_up(str(error))
        return self.ready

    async def ask(self, photos: Sequence[Pixels]) -> list[Cosines]:
        """Return the cosines of each photo.

        Raises TimeoutError, EOFError or ConnectionError for a worker that is ended now, Refused for one that
        goes on.
        """
        assert self._process is not None
        try:
            async with asyncio.timeout(self._setup.timeout_s):
                rows = await self._exchange(self._process, photos)
        except TimeoutError:
            self._stumble(f"{len(photos)} photos took more than {self._setup.timeout_s:g} s")
            raise
        except (EOFError, ConnectionError):
            self._stumble("the process died")
            raise
        except Refused as error:
            _log.warning("eyes failed", model=self._card.name, reason=str(error))
            raise
        self._faults = 0
        return rows

    async def close(self) -> None:
        """End the process; none is started any more."""
        self._closed = True
        for process in self._started:
            workers.kill(process)
        for process in self._started:
            await process.wait()

    async def _loaded(self) -> Process:
        card, setup = self._card, self._setup
        folder = await asyncio.to_thread(fetch, card.weights, sha256=card.weights_sha256, cache=setup.cache)
        module, _, name = setup.worker.partition(":")
        process = await workers.start(
            f"from {module} import {name}; {name}()", environment=_environment(setup)
        )
        self._started = [one for one in self._started if one.returncode is None] + [process]
        loaded = False
        try:
            async with asyncio.timeout(setup.start_timeout_s):
                reply = await workers.ask(process, self._job(folder))
            if reply.get("num_labels") != len(self._texts):
                raise Refused(str(reply.get("failed", reply)))
            loaded = True
        finally:
            if not loaded:
                workers.kill(process)
        _log.info("eyes are open", model=card.name, seconds=reply.get("seconds"))
        return process

    def _job(self, folder: Path) -> bytes:
        job = {
            "folder": str(folder),
            "identity": json.dumps(self._card.weights_sha256, sort_keys=True),
            "texts": self._texts,
            "matrices": str(self._setup.cache.absolute()),
            "num_threads": self._setup.num_threads,
            "device": self._setup.device,
        }
        return json.dumps(job).encode() + b"\n"

    async def _exchange(self, process: Process, photos: Sequence[Pixels]) -> list[Cosines]:
        assert process.stdout is not None
        sizes = json.dumps([[one.width, one.height] for one in photos]).encode()
        reply = await workers.ask(process, sizes, b"\n", *(one.rgb for one in photos))
        if reply.get("num_photos") != len(photos):
            raise Refused(str(reply.get("failed", reply)))
        width = array("f").itemsize * len(self._texts)
        data = await process.stdout.readexactly(len(photos) * width)
        return [array("f", data[start : start + width]) for start in range(0, len(data), width)]

    def _stumble(self, reason: str) -> None:
        """End a worker at fault; the next photo starts another, unless that was of no use before."""
        assert self._process is not None
        workers.kill(self._process)
        self._process = None
        self._faults += 1
        if self._faults >= _FAULTS_MAX:
            self._give_up(f"{reason}, {self._faults} times in a row")
        else:
            _log.warning("eyes failed", model=self._card.name, reason=reason)

    def _give_up(self, reason: str) -> None:
        self.failure = f"{self._card.name}: {reason}"
        self._faults, self._retry_at = 0, time.monotonic() + self._setup.pause_s
        _log.error("eyes are closed", reason=self.failure, again_in_s=self._setup.pause_s)


def _environment(setup: Setup) -> dict[str, str]:
    """Return what the libraries of the worker have to know before they are loaded."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}  # all it needs lies in the card's folder
    threads = {
        "OMP_NUM_THREADS": str(setup.num_threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }  # engines want the cores
    gpu = {"CUDA_VISIBLE_DEVICES": ""} if setup.device == "cpu" else {}
    return {**offline, **threads, **gpu, "TOKENIZERS_PARALLELISM": "false"}
