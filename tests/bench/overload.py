"""What becomes of five times the requests that the service can answer: quick refusals, kept deadlines."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import orjson

from tests.bench import material
from tests.bench.connection import Reply, client, post
from tests.bench.report import Result, percentile
from tests.bench.stage import Stage, stage

PLACES, QUEUE = 32, 32
FIRST_TOKEN_S, TOKEN_S = 0.2, 0.02
DEADLINE_S = 3.0
TIMES = 5
NUM_CONNECTIONS = 512
REFUSED_MS = 50


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
    _report(result, f"{TIMES}x the rate", steady, below=REFUSED_MS)
    result.add(
        f"{TIMES}x the rate: answers / capacity of that time",
        _ok(steady) / (PLACES * seconds / service_s),
        "",
    )
    _report(result, f"{TIMES}x the places at once", burst, below=None)  # one core answers one after another
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
    body = orjson.dumps(material.listing(material.FEW))
    request = post("/describe", body, X_Deadline_Ms=f"{1000 * DEADLINE_S:.0f}")
    async with client(on.service_url) as service, asyncio.TaskGroup() as group:
        await service.open(min(len(moments), NUM_CONNECTIONS))
        begun = loop.time() + 0.1
        replies = []
        for moment in moments:
            if (pause := begun + moment - loop.time()) > 0:
                await asyncio.sleep(pause)
            replies.append(group.create_task(service.ask(request)))
    return [reply.result() for reply in replies]


def _ok(replies: list[Reply]) -> int:
    return sum(reply.status == 200 for reply in replies)


def _report(result: Result, name: str, replies: list[Reply], *, below: float | None) -> None:
    refused = [reply for reply in replies if reply.status == 429]
    admitted = [reply for reply in replies if reply.status != 429]
    late = sum(reply.status != 200 or reply.total_s > DEADLINE_S for reply in admitted)
    times = [1000 * reply.total_s for reply in refused]
    result.add(f"{name}: requests", len(replies), "")
    result.add(f"{name}: refused (429)", len(refused), "")
    result.add(f"{name}: 429 p50", percentile(times, 0.5), "ms")
    result.add(f"{name}: 429 p99", percentile(times, 0.99), "ms")
    result.add(f"{name}: 429 slowest", max(times, default=0.0), "ms", below=below)
    result.add(
        f"{name}: 429 without Retry-After",
        sum(b"retry-after" not in reply.headers for reply in refused),
        "",
        below=1,
    )
    result.add(f"{name}: admitted", len(admitted), "")
    result.add(f"{name}: admitted, not answered within {DEADLINE_S:g} s", late, "", below=1)
    slowest = max((reply.total_s for reply in admitted), default=0.0)
    result.add(f"{name}: admitted, slowest", 1000 * slowest, "ms")
    result.details[name] = {"statuses": dict(Counter(str(reply.status) for reply in replies))}
