"""Questions of one request run side by side: on its own place and on spare ones, which always come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial

import pytest

from service.admission import Gate
from service.spreading import side_by_side
from tests.service.live_service import becomes


class Room:
    """Counts how many jobs run at once; they end when told."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.open = asyncio.Event()

    async def job(self, name: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.open.wait()
            return name
        finally:
            self.running -= 1

    def jobs(self, num: int) -> list[Callable[[], Coroutine[None, None, int]]]:
        return [partial(self.job, name) for name in range(num)]


async def results(gate: Gate, room: Room, num: int, *, parallel: int) -> list[int]:
    async with aclosing(side_by_side(gate, room.jobs(num), parallel=parallel)) as done:
        return [name async for name in done]


@pytest.mark.parametrize(("limit", "parallel", "most"), [(8, 3, 3), (3, 8, 3), (1, 8, 1)])
async def test_jobs_take_spare_places_and_give_them_back(limit: int, parallel: int, most: int) -> None:
    gate, room = Gate(limit=limit, queue=0), Room()
    async with gate.hold():
        running = asyncio.create_task(results(gate, room, 10, parallel=parallel))
        await becomes(lambda: room.running == most)
        assert gate.in_flight == most
        room.open.set()
        assert sorted(await running) == list(range(10))
        assert gate.in_flight == 1
    assert (gate.in_flight, room.most) == (0, most)


async def test_no_place_is_taken_while_somebody_waits() -> None:
    gate, room = Gate(limit=2, queue=4), Room()
    async with gate.hold(), gate.hold():
        waiting = asyncio.create_task(gate.hold().__aenter__())
        await becomes(lambda: gate.queued == 1)
        running = asyncio.create_task(results(gate, room, 5, parallel=5))
        await becomes(lambda: room.running == 1)
        room.open.set()
        await running
    await waiting
    assert room.most == 1


async def test_a_job_that_raises_ends_all_and_loses_no_place() -> None:
    gate, room = Gate(limit=4, queue=0), Room()

    async def fails() -> int:
        raise RuntimeError("broken")

    async with gate.hold():
        with pytest.raises(RuntimeError, match="broken"):
            async with aclosing(side_by_side(gate, [*room.jobs(3), fails], parallel=4)) as done:
                async for _ in done:
                    pass
        assert (gate.in_flight, room.running) == (1, 0)


@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_a_cancelled_request_loses_no_place(turns: int) -> None:
    gate, room = Gate(limit=4, queue=0), Room()
    async with gate.hold():
        running = asyncio.create_task(results(gate, room, 10, parallel=4))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.sleep(0)
        assert (gate.in_flight, room.running) == (1, 0)
