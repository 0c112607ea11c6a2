"""The service as its callers meet it: real HTTP on loopback, a scripted engine behind it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from models.card import Card, load_card
from service.admission import Gate
from service.app import create_app
from service.call import Version
from service.engine.base import Engine
from service.engine.fake import FakeEngine, Script
from service.runner import Runner
from service.settings import Settings
from service.telemetry import Metrics

CARD = "gemma3-270m"
LISTING: Mapping[str, Any] = {
    "title": "Велосипед Forward Apache",
    "category": "Велосипеды",
    "params": {"Вид": "Горный", "Цвет": "Красный"},
    "price": 12600,
}
SENTENCES = ("В продаже горный велосипед Forward Apache.", "Цвет — красный.", "Цена — 12 600 ₽.")
TEXT = " ".join(SENTENCES)
ENDLESS = Script(text=f"{TEXT} " + "Ещё немного слов про велосипед " * 5000, token_s=0.01)
SILENT = Script(text=TEXT, first_token_s=600.0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any


async def read_events(response: aiohttp.ClientResponse) -> AsyncGenerator[Event, None]:
    """Yield the events of a stream, strict in what is taken for one."""
    name, data = "", b""
    async for raw in response.content:
        line = raw.rstrip(b"\n")
        if line.startswith(b"event: "):
            name = line.removeprefix(b"event: ").decode()
        elif line.startswith(b"data: "):
            assert not data, "one line of data in each event"
            data = line.removeprefix(b"data: ")
        else:
            assert line == b"", line
            yield Event(name, json.loads(data))
            name, data = "", b""
    assert not name, "the stream ended inside an event"


async def becomes(condition: Callable[[], bool], *, within_s: float = 5.0) -> float:
    """Wait until the condition holds and return the seconds that it took."""
    begun = time.perf_counter()
    while not condition():
        assert time.perf_counter() - begun < within_s, "not in time"
        await asyncio.sleep(0.002)
    return time.perf_counter() - begun


class LoopServer(uvicorn.Server):
    """uvicorn in the test's own loop; signals stay pytest's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """Stop when told; uvicorn's own loop looks every 100 ms."""
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close without uvicorn's pause of 100 ms a test; test_drain has the real way."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await becomes(lambda: not self.server_state.connections and not self.server_state.tasks)
        await self.lifespan.shutdown()


@dataclass(kw_only=True)
class LiveService:
    """A running service and the client that asks it."""

    app: FastAPI
    server: uvicorn.Server
    engine: FakeEngine
    gate: Gate
    metrics: Metrics
    session: aiohttp.ClientSession
    url: str

    @property
    def runner(self) -> Runner:
        return self.app.state.runner

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        begun = time.perf_counter()
        async with self.session.request(method, self.url + path, **options) as response:
            body = await response.read()
            return Answer(
                status=response.status,
                headers=response.headers,
                body=body,
                seconds=time.perf_counter() - begun,
            )

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def post(
        self, body: bytes | str, *, content_type: str = "application/json", **headers: str
    ) -> Answer:
        """Send a body as it is to /describe."""
        return await self.request(
            "POST", "/describe", data=body, headers={"Content-Type": content_type} | dashed(headers)
        )

    async def describe(self, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        """Describe the listing with some fields replaced."""
        return await self.request("POST", "/describe", json={**LISTING, **fields}, headers=headers)

    @asynccontextmanager
    async def streaming(
        self, *, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, AsyncGenerator[Event, None]]]:
        """Open an event stream; leaving the block hangs up."""
        body = {**LISTING, "stream": True, **fields}
        posted = self.session.post(self.url + "/describe", json=body, headers=headers)
        async with posted as response, aclosing(read_events(response)) as events:
            try:
                yield response, events
            finally:
                response.close()

    async def events(self, *, headers: Mapping[str, str] | None = None, **fields: Any) -> list[Event]:
        """Describe the listing as a stream, read to its end."""
        async with self.streaming(headers=headers, **fields) as (response, events):
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            return [event async for event in events]

    async def sample(self, name: str, **labels: str) -> float:
        """Return one value of /metrics, summed over the labels that are not given."""
        text = (await self.get("/metrics")).body.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def settled(self) -> None:
        """Wait until all is counted and logged: the last byte leaves before that."""
        await becomes(lambda: not self.server.server_state.tasks)

    @property
    def idle(self) -> bool:
        """True while nobody holds or awaits a place, here or in the engine."""
        return self.engine.in_flight == self.gate.in_flight == self.gate.queued == 0


def dashed(headers: Mapping[str, str]) -> dict[str, str]:
    """Turn X_Deadline_Ms into X-Deadline-Ms."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def versions(
    engines: Mapping[str, Engine], settings: Settings, *, card: Card | None = None
) -> dict[str, Version]:
    """Put engines behind gates of their own, all with one card."""
    served = card or load_card(CARD)
    return {
        name: Version(name, served, engine, Gate(limit=settings.max_in_flight, queue=settings.max_queue))
        for name, engine in engines.items()
    }


@asynccontextmanager
async def live(
    script: Script | None = None,
    *,
    engine: FakeEngine | None = None,
    card: Card | None = None,
    **settings: Any,
) -> AsyncIterator[LiveService]:
    """Serve versions "a" (the default, behind `engine`) and "b" on a free port."""
    engine = engine or FakeEngine(keep_prompts=True)
    turned = Settings(port=0, **{"eyes": "", **settings})
    made = versions({"a": engine, "b": FakeEngine(Script(text=TEXT))}, turned, card=card)
    metrics = Metrics()
    app = create_app(turned, made, default="a", metrics=metrics)
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = LoopServer(config)
    serving = asyncio.create_task(server.serve())
    await becomes(lambda: server.started or serving.done())
    engine.script = script or Script(text=TEXT)  # after the warm-up, which every script would have to pass
    engine.prompts.clear()
    address = server.servers[0].sockets[0].getsockname()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as session:
        yield LiveService(
            app=app,
            server=server,
            engine=engine,
            gate=made["a"].gate,
            metrics=metrics,
            session=session,
            url=f"http://127.0.0.1:{address[1]}",
        )
    server.stopping.set()
    await serving
