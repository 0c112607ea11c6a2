"""Many questions of one request at once: on the place that it holds, and on spare ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from service.admission import Gate

T = TypeVar("T")


async def side_by_side(
    gate: Gate, jobs: Iterable[Callable[[], Coroutine[None, None, T]]], *, parallel: int
) -> AsyncGenerator[T, None]:
    """Run the jobs of one admitted request and yield their results as they come.

    One runs on the place that the request holds (waiting for another could never end), up to `parallel` in
    all while there are spare ones. Closing the generator cancels what runs; a job that raises ends it.
    """
    waiting = deque(jobs)
    running: set[asyncio.Task[T]] = set()
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                place = ExitStack()
                if running and not place.enter_context(gate.spare()):
                    break
                task = asyncio.create_task(waiting.popleft()())
                # Not inside the task: one that is cancelled before its first step would keep the place.
                task.add_done_callback(partial(_leave, place))
                running.add(task)
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _leave(place: ExitStack, _: asyncio.Task[T]) -> None:
    place.close()
