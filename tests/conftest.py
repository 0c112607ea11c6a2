"""Shared ground: a live service with a scripted engine, its log, no settings of a person's own."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import pytest
import structlog

from service.telemetry import configure_logging
from tests.service.live_service import LiveService, live

Start: TypeAlias = Callable[..., Coroutine[Any, Any, LiveService]]
Logged: TypeAlias = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True, scope="session")
def _plain_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("LLM_")]:
            environment.delenv(name)
        yield


@pytest.fixture(scope="session")
def _json_log() -> logging.StreamHandler[Any]:
    """Log as in production, from the first live service on."""
    root = logging.getLogger()
    before = root.handlers[:]
    configure_logging(style="json", level="INFO")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)
    root.handlers[:] = before  # pytest's own; the service's is added while a test reads it
    return handler


@pytest.fixture
def logged(_json_log: logging.StreamHandler[Any]) -> Iterator[Logged]:
    """Read what the service has logged in this test: every line is a JSON object."""
    written = io.StringIO()
    _json_log.setStream(written)
    logging.getLogger().addHandler(_json_log)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logging.getLogger().removeHandler(_json_log)


@pytest.fixture
async def start(logged: Logged) -> AsyncIterator[Start]:
    """Start services: `await start(Script(...), max_queue=3)`; all end with the test."""
    async with AsyncExitStack() as running:

        async def one(*arguments: Any, **options: Any) -> LiveService:
            return await running.enter_async_context(live(*arguments, **options))

        yield one


@pytest.fixture
async def service(start: Start) -> LiveService:
    """A service whose engine answers at once and well."""
    return await start()
