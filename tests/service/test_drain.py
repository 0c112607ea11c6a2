"""A signal ends the service without losing a request: what runs finishes, what outlasts the grace is told."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.service.live_service import LISTING, TEXT, Event, read_events
from tests.service.service_process import ServiceProcess, deployment_text, fake_url, service_process

WAVES = fake_url(text=TEXT, token_ms=30, slots=8)  # 0.4 s each, eight at once
ONE_BY_ONE = fake_url(text=TEXT, first_token_ms=300, slots=1)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as session:
        yield session


async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, object], str | None]:
    async with session.post(f"{url}/describe", json=LISTING) as response:
        return response.status, await response.json(content_type=None), response.headers.get("Retry-After")


async def stream(session: aiohttp.ClientSession, url: str) -> list[Event]:
    async with session.post(f"{url}/describe", json={**LISTING, "stream": True}) as response:
        if response.status != 200:  # ended in the queue, before the stream began
            return [Event("error", await response.json(content_type=None))]
        return [event async for event in read_events(response)]


async def inside(session: aiohttp.ClientSession, url: str) -> int:
    """Return how many requests are at the engine or in the queue."""
    async with session.get(f"{url}/metrics") as response:
        text = await response.text()
    values = re.findall(r"^llm_(?:in_flight|queued)_requests\{.*\} ([\d.]+)$", text, re.MULTILINE)
    return int(sum(map(float, values)))


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 5.0) -> None:
    begun = time.monotonic()
    while not await condition():
        assert time.monotonic() - begun < within_s, "not in time"
        await asyncio.sleep(0.01)


async def refuses(url: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port)) != 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_thirty_two_running_requests_all_finish(
    tmp_path: Path, session: aiohttp.ClientSession, sig: signal.Signals
) -> None:
    async with service_process(tmp_path, deployment_text(WAVES)) as service:
        await service.says("running on")
        url = service.url
        whole = [asyncio.create_task(ask(session, url)) for _ in range(16)]
        streamed = [asyncio.create_task(stream(session, url)) for _ in range(16)]
        await until(lambda: _is(inside(session, url), 32))
        service.process.send_signal(sig)
        await until(lambda: refuses(url), within_s=1.0)
        assert not all(task.done() for task in (*whole, *streamed)), "refused while others still ran"
        for status, body, _ in await asyncio.gather(*whole):
            assert (status, body["description"]) == (200, TEXT)
        for events in await asyncio.gather(*streamed):
            assert [event.name for event in events] == ["sentence"] * 3 + ["done"]
        assert await service.ended(within_s=5) == 0
        assert [event for event in service.events if event["level"] == "error"] == []


async def _is(number: Awaitable[int], wanted: int) -> bool:
    return await number == wanted


async def test_what_outlasts_the_grace_ends_with_a_clear_error(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    environment = {"LLM_DRAIN_GRACE_S": "0.5", "LLM_MAX_IN_FLIGHT": "6"}
    async with service_process(tmp_path, deployment_text(ONE_BY_ONE), **environment) as service:
        await service.says("running on")
        url = service.url
        whole = [asyncio.create_task(ask(session, url)) for _ in range(4)]
        streamed = [asyncio.create_task(stream(session, url)) for _ in range(4)]
        await until(lambda: _is(inside(session, url), 8))
        begun = time.monotonic()
        service.process.terminate()
        answers, streams = await asyncio.gather(*whole), await asyncio.gather(*streamed)
        assert 0.4 < time.monotonic() - begun < 2.0
        assert await service.ended(within_s=3) == 0
        assert time.monotonic() - begun < 3.0
    refused = [(body["code"], retry) for status, body, retry in answers if status != 200]
    cut = [events[-1].data["code"] for events in streams if events[-1].name == "error"]
    assert len(refused) + len(cut) >= 5, "one at a time, so two or three had the time"
    assert {code for code, _ in refused} | set(cut) == {"draining"}
    assert all(retry is not None for _, retry in refused)
    assert all(status in (200, 503) for status, _, _ in answers)
    assert all(events[-1].name in ("done", "error") for events in streams)


async def test_an_idle_service_ends_at_once(tmp_path: Path) -> None:
    async with service_process(tmp_path, deployment_text(fake_url())) as service:
        await service.says("running on")
        begun = time.monotonic()
        service.process.terminate()
        assert await service.ended() == 0
        assert time.monotonic() - begun < 2.0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_engines_are_awaited_ends_the_start(tmp_path: Path, sig: signal.Signals) -> None:
    with socket.socket() as bound:  # bound but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with service_process(tmp_path, deployment_text(url)) as service:
            await service.says("waiting for the engine")
            assert await stopped(service, sig) == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_the_warm_up_ends_the_start(tmp_path: Path, sig: signal.Signals) -> None:
    async with service_process(tmp_path, deployment_text(fake_url(first_token_ms=60_000))) as service:
        await service.says("version is live")
        assert await stopped(service, sig) == 0


async def stopped(service: ServiceProcess, sig: signal.Signals) -> int:
    """Send the signal, expect a quick and quiet end, return the exit status."""
    service.process.send_signal(sig)
    status = await service.ended(within_s=5)
    assert "Traceback" not in service.output
    return status
