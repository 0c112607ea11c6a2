"""The gate before the engines: so many in flight, so many waiting in order, 429 beyond."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from service.errors import Overloaded

SMOOTHING = 0.1  # weight of the newest request in the running mean of service times


class Gate:
    """Admits at most `limit` holders; `queue` more may wait. Not thread-safe: one event loop."""

    def __init__(self, *, limit: int, queue: int) -> None:
        self.limit = limit
        self.queue = queue
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_s = 1.0  # before anything was measured

    @property
    def queued(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    def retry_after_s(self) -> float:
        """Estimate when a place is free: the work ahead of a newcomer over the rate of completions."""
        return max(1.0, (self.queued + 1) * self._mean_s / self.limit)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[float]:
        """Wait for a place, yield the seconds waited, give the place back.

        Raises:
            Overloaded: in flight and queue are both full; raised at once, nothing waits.

        """
        loop = asyncio.get_running_loop()
        asked = loop.time()
        if self.in_flight < self.limit and not self._waiting:
            self.in_flight += 1
        elif len(self._waiting) >= self.queue:
            raise Overloaded("all places are taken, try again later", retry_after_s=self.retry_after_s())
        else:
            await self._wait(loop.create_future())
        entered = loop.time()
        try:
            yield entered - asked
        finally:
            self._mean_s += SMOOTHING * (loop.time() - entered - self._mean_s)
            self._leave()

    @contextmanager
    def spare(self) -> Iterator[bool]:
        """Take a place only if it is free and nobody waits for one; yield whether it was taken."""
        taken = self.in_flight < self.limit and not self._waiting
        self.in_flight += taken
        try:
            yield taken
        finally:
            if taken:
                self._leave()

    async def _wait(self, place: asyncio.Future[None]) -> None:
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # the place was handed over in the very moment of the cancellation
            else:
                with suppress(ValueError):  # a leaver may have passed over it already
                    self._waiting.remove(place)
            raise

    def _leave(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)  # in_flight stays as it is: the place changes hands
                return
        self.in_flight -= 1
