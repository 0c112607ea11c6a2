"""What becomes of five times the requests that the service can answer: quick refusals, kept deadlines."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import orjson

from tests.bench import material
from tests.bench.report import Result, percentile
from tests.bench.stage import Stage, stage

PLACES, QUEUE = 32, 32
FIRST_TOKEN_S, TOKEN_S = 0.2, 0.02
DEADLINE_S = 3.0
TIMES = 5
NUM_CONNECTIONS = 512
REFUSED_MS = 50


@dataclass(kw_only=True)
class Reply:
    """Status, time from the writing of the request to the whole reply, and whether it says when to retry."""

    status: int
    seconds: float
    retry_after: bool


class Connection(asyncio.Protocol):
    """A connection that is open beforehand: what is timed is the service, not the client's set-up."""

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] | None = None
        self.begun = 0.0
        self.data = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Write a request; the future holds the reply."""
        self.data = b""
        self.reply = asyncio.get_running_loop().create_future()
        self.begun = time.perf_counter()
        self.transport.write(request)
        return self.reply

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found or self.reply is None or self.reply.done():
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(fields[b"content-length"]):
            return
        seconds = time.perf_counter() - self.begun
        status = int(head.split(b" ", 2)[1])
        self.reply.set_result(Reply(status=status, seconds=seconds, retry_after=b"retry-after" in fields))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(
                Reply(status=0, seconds=time.perf_counter() - self.begun, retry_after=False)
            )


async def run(*, quick: bool) -> Result:
    """Offer five times the capacity for a while, and five times the places in one moment."""
    seconds = 2 if quick else 20
    service_s = FIRST_TOKEN_S + TOKEN_S * (len(material.tokens(material.SHORT)) - 1)
    rate = TIMES * PLACES / service_s
    result = Result(
        compared=f"{PLACES} places and {QUEUE} in the queue before an engine that takes {service_s:.2f} s; "
        f"{rate:.0f} requests/s at random moments, then {TIMES * (PLACES + QUEUE)} in one moment"
    )
    async with stage(max_in_flight=PLACES, max_queue=QUEUE) as on:
        await on.play(material.SHORT, first_token_s=FIRST_TOKEN_S, token_s=TOKEN_S)
        steady = await _offer(on, list(_arrivals(rate, seconds)))
        await asyncio.sleep(1)
        burst = await _offer(on, [0.0] * (TIMES * (PLACES + QUEUE)))
    _report(result, f"{TIMES}x the rate", steady)
    result.add(
        f"{TIMES}x the rate: answers against capacity", _ok(steady) / (PLACES * seconds / service_s), ""
    )
    _report(result, f"{TIMES}x the places at once", burst)
    return result


def _arrivals(rate: float, seconds: float) -> Iterator[float]:
    """Yield Poisson arrivals: independent clients come in clusters, not in step."""
    draw = random.Random(1)
    moment = draw.expovariate(rate)
    while moment < seconds:
        yield moment
        moment += draw.expovariate(rate)


async def _offer(on: Stage, moments: list[float]) -> list[Reply]:
    """Send a request at each moment (seconds from now), whatever became of those before."""
    loop = asyncio.get_running_loop()
    port = int(on.service_url.rpartition(":")[2])
    body = orjson.dumps(material.listing(material.FEW))
    head = [
        "POST /describe HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"X-Deadline-Ms: {DEADLINE_S * 1000:.0f}",
    ]
    request = "\r\n".join([*head, "", ""]).encode() + body
    num_connections = min(len(moments), NUM_CONNECTIONS)
    free = deque(
        [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(num_connections)]
    )
    replies: list[asyncio.Future[Reply]] = []
    begun = loop.time() + 0.1
    for moment in moments:
        if (pause := begun + moment - loop.time()) > 0:
            await asyncio.sleep(pause)
        while not free:
            await asyncio.sleep(0.001)
        connection = free.popleft()
        reply = connection.ask(request)
        reply.add_done_callback(partial(_give_back, free, connection))
        replies.append(reply)
    async with asyncio.timeout(DEADLINE_S + 30):
        answered = await asyncio.gather(*replies)
    for connection in free:
        connection.transport.close()
    return answered


def _give_back(free: deque[Connection], connection: Connection, _: object) -> None:
    free.append(connection)


def _ok(replies: list[Reply]) -> int:
    return sum(reply.status == 200 for reply in replies)


def _report(result: Result, name: str, replies: list[Reply]) -> None:
    refused = [reply for reply in replies if reply.status == 429]
    admitted = [reply for reply in replies if reply.status != 429]
    late = sum(reply.status != 200 or reply.seconds > DEADLINE_S for reply in admitted)
    times = [1000 * reply.seconds for reply in refused]
    result.add(f"{name}: requests", len(replies), "")
    result.add(f"{name}: refused (429)", len(refused), "")
    result.add(f"{name}: 429 p50", percentile(times, 0.5), "ms")
    result.add(f"{name}: 429 p99", percentile(times, 0.99), "ms")
    result.add(f"{name}: 429 slowest", max(times, default=0.0), "ms", below=REFUSED_MS)
    result.add(
        f"{name}: 429 without Retry-After", sum(not reply.retry_after for reply in refused), "", below=1
    )
    result.add(f"{name}: admitted", len(admitted), "")
    result.add(f"{name}: admitted, not answered within {DEADLINE_S:g} s", late, "", below=1)
    slowest = max((reply.seconds for reply in admitted), default=0.0)
    result.add(f"{name}: admitted, slowest", 1000 * slowest, "ms")
    result.details[name] = {"statuses": dict(Counter(str(reply.status) for reply in replies))}
