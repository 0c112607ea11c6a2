"""Bulk uses all its places while the engine is its own, and gives way as soon as others ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.bulk import places as places_module
from service.bulk.places import GaveWay, Places
from service.errors import EngineDown
from tests.service.live_service import becomes


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module, "LOOK_S", 0.002)
    monkeypatch.setattr(places_module, "QUIET_S", 0.05)


class Engine:
    """An engine that others may use beside the rows in flight."""

    def __init__(self) -> None:
        self.others = self.rows = self.interrupted = self.done = 0
        self.open = asyncio.Event()
        self.tells: Callable[[], int | None] = lambda: self.rows + self.others

    async def load(self) -> int | None:
        return self.tells()

    async def row(self, places: Places) -> None:
        while True:
            try:
                async with places.hold():
                    self.rows += 1
                    try:
                        await self.open.wait()
                    finally:
                        self.rows -= 1
                self.done += 1
                return
            except GaveWay:
                self.interrupted += 1


@asynccontextmanager
async def running(engine: Engine, *, most: int = 4, num: int = 10) -> AsyncIterator[Places]:
    places = Places(most, load=engine.load)
    async with places.watched():
        rows = [asyncio.create_task(engine.row(places)) for _ in range(num)]
        try:
            yield places
        finally:
            for row in rows:
                row.cancel()
            await asyncio.gather(*rows, return_exceptions=True)


async def test_all_places_are_used_while_nobody_else_asks() -> None:
    engine = Engine()
    async with running(engine):
        await becomes(lambda: engine.rows == 4)
        await asyncio.sleep(0.03)
        assert (engine.rows, engine.interrupted) == (4, 0)
        engine.open.set()
        await becomes(lambda: engine.done == 10)


async def test_others_interrupt_all_rows_but_the_oldest_and_nothing_is_lost() -> None:
    engine = Engine()
    async with running(engine):
        await becomes(lambda: engine.rows == 4)
        engine.others = 1
        await becomes(lambda: engine.rows == 1)
        assert engine.interrupted == 3
        await asyncio.sleep(0.03)
        assert engine.rows == 1, "one goes on: bulk is slow then, not stopped"
        engine.others = 0
        await becomes(lambda: engine.rows == 4)
        engine.open.set()
        await becomes(lambda: engine.done == 10)


async def test_one_sighting_is_a_canary_and_interrupts_nobody() -> None:
    engine = Engine()
    looks = iter([4, 5, 4, 5, 4] + [4] * 10_000)
    async with running(engine):
        await becomes(lambda: engine.rows == 4)
        engine.tells = lambda: next(looks)
        await asyncio.sleep(0.05)
        assert (engine.rows, engine.interrupted) == (4, 0)


@pytest.mark.parametrize("tells", [lambda: None, lambda: 0])
async def test_an_engine_that_does_not_tell_is_used_fully(tells: Callable[[], Any]) -> None:
    engine = Engine()
    engine.tells = tells
    async with running(engine):
        await becomes(lambda: engine.rows == 4)
        await asyncio.sleep(0.03)
        assert engine.rows == 4


async def test_an_engine_that_cannot_be_asked_is_looked_at_again() -> None:
    engine = Engine()

    def down() -> int:
        raise EngineDown("gone")

    engine.tells = down
    async with running(engine):
        await becomes(lambda: engine.rows == 4)
        await asyncio.sleep(0.02)
        engine.tells = lambda: 9
        await becomes(lambda: engine.rows == 1)


async def test_a_row_that_is_cancelled_while_it_waits_takes_no_place() -> None:
    places, opened = Places(1), asyncio.Event()

    async def hold() -> None:
        async with places.hold():
            await opened.wait()

    first = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    opened.set()
    await asyncio.gather(first, *waiting, return_exceptions=True)
    async with asyncio.timeout(1), places.hold():
        pass


async def test_a_rows_own_time_limit_is_not_taken_for_giving_way() -> None:
    with pytest.raises(TimeoutError):
        async with Places(1).hold(), asyncio.timeout(0.001):
            await asyncio.sleep(1)
