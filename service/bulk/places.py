"""Places in flight for bulk's rows: many while the engine is ours, one while others ask it too.

vLLM's priority orders its queue only; what runs shares every step. Without giving way, 32 rows in flight
made an interactive answer on two cores ten times slower (20 s instead of 2 s in the median).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import structlog

from service.errors import ServiceError

log = structlog.get_logger(__name__)

Load: TypeAlias = Callable[[], Awaitable[int | None]]
LOOK_S: Final = 0.25  # between looks at the engine
SIGHTINGS: Final = 2  # in a row, until others count: a canary's one token is gone by then
QUIET_S: Final = 2.0  # without others, until all places are used again
COURTEOUS: Final = 1  # places while others ask


class GaveWay(Exception):
    """The row was interrupted for somebody else's sake, and is to be tried again."""


class Places:
    """Up to `most` holders; `load` tells how many requests the engine has in all, or None."""

    def __init__(self, most: int, *, load: Load | None = None) -> None:
        self._most = self._limit = most
        self._load = load
        self._held: dict[asyncio.Timeout, None] = {}  # the oldest first
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block. Raises GaveWay out of it."""
        while len(self._held) >= self._limit:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            finally:
                with suppress(ValueError):
                    self._waiting.remove(place)
        held = asyncio.timeout(None)
        self._held[held] = None
        try:
            async with held:
                yield
        except TimeoutError:
            if held.expired():
                raise GaveWay from None
            raise
        finally:
            del self._held[held]
            self._wake()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look at the engine for the length of the block, and give way while others ask it."""
        watch = asyncio.create_task(self._watch(self._load)) if self._load else None
        try:
            yield
        finally:
            if watch:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)

    async def _watch(self, load: Load) -> None:
        sightings, seen_at = 0, float("-inf")
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                total = await load()
            except ServiceError:
                continue  # the rows themselves meet an engine in trouble
            sightings = sightings + 1 if total is not None and total > len(self._held) else 0
            if sightings >= SIGHTINGS:
                seen_at = time.monotonic()
                self._give_way()
            elif time.monotonic() - seen_at > QUIET_S and self._limit < self._most:
                self._limit = self._most
                self._wake()

    def _give_way(self) -> None:
        """Interrupt all rows but the oldest: their prompts stay in the engine's prefix cache."""
        if self._limit == self._most > COURTEOUS:
            log.debug("giving way to other requests")
        self._limit = min(COURTEOUS, self._most)
        now = asyncio.get_running_loop().time()
        for held in list(self._held)[self._limit :]:
            if not held.expired():
                held.reschedule(now)

    def _wake(self) -> None:
        for place in list(self._waiting)[: max(0, self._limit - len(self._held))]:
            if not place.done():
                place.set_result(None)
