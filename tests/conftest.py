"""Shared ground: a live service with a scripted engine, an environment without a person's own settings."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import pytest

from tests.service.live_service import LiveService, live

Start: TypeAlias = Callable[..., Coroutine[Any, Any, LiveService]]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LLM_")]:
        monkeypatch.delenv(name)


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
