"""Shared ground: a live service with a scripted engine, an environment without a person's own settings."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import pytest

from tests.service.live_service import LiveService, live

Start: TypeAlias = Callable[..., Coroutine[Any, Any, LiveService]]


@pytest.fixture(autouse=True, scope="session")
def _plain_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("LLM_")]:
            environment.delenv(name)
        yield


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start services: `await start(Script(...), max_queue=3)`; all end with the test."""
    async with AsyncExitStack() as running:

        async def one(*arguments: Any, **options: Any) -> LiveService:
            return await running.enter_async_context(live(*arguments, **options))

        yield one


@pytest.fixture
async def service(start: Start) -> LiveService:
    """A service whose engine answers at once and well."""
    return await start()
