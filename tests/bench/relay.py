"""How many tokens a second one service process relays, and what a token costs it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import orjson

from service.engine.vllm import VllmEngine
from tests.bench import material
from tests.bench.connection import client, post
from tests.bench.load import Answer, ask_bare, ask_served
from tests.bench.report import Result
from tests.bench.stage import Stage, engine_request, stage

Ask = Callable[[object], Awaitable[Answer]]
FLOOD_STREAMS = 64
PACED_STREAMS = 128
OFFERED = 22_000  # tokens/s while streams run; pauses between answers bring it to the target


async def run(*, quick: bool) -> Result:
    """Relay as fast as the engine gives, then at the target's pace."""
    seconds = 2 if quick else 15
    result = Result(
        compared="tokens of the fake engine that left the service as checked sentences, many streams at "
        "once, every token an event of its own; engine, service and load are a process each and share the "
        "cores"
    )
    body = material.listing(material.PARAMS, stream=True)
    async with stage(max_in_flight=PACED_STREAMS) as on, client(on.service_url) as service:
        request = post("/describe", orjson.dumps(body))
        messages, sampling = engine_request(body, on.card)
        engine = VllmEngine(on.engine_url, model=on.card.name)

        async def served(_: object) -> Answer:
            return await ask_served(service, request)

        async def bare(_: object) -> Answer:
            return await ask_bare(engine, messages, sampling)

        await on.play(material.LONG, first_token_s=0, token_s=0)
        await _load(served, on, num_streams=FLOOD_STREAMS, seconds=min(2, seconds))  # warm up
        flood = await _load(served, on, num_streams=FLOOD_STREAMS, seconds=seconds)
        ceiling = await _load(bare, on, num_streams=FLOOD_STREAMS, seconds=min(5, seconds))
        await on.play(material.LONG, first_token_s=0.05, token_s=PACED_STREAMS / OFFERED)
        paced = await _load(served, on, num_streams=PACED_STREAMS, seconds=seconds)
        await engine.close()
    alone = flood["tokens"] / flood["cpu_s"]
    result.add("flood: tokens per wall second", flood["tokens"] / flood["wall_s"], "tok/s", least=20_000)
    result.add("flood: tokens per processor second of the service", alone, "tok/s", least=20_000)
    result.add("flood: share of a core the service had", flood["cpu_s"] / flood["wall_s"], "")
    result.add("flood: bare engine's client, same load", ceiling["tokens"] / ceiling["wall_s"], "tok/s")
    result.add(f"paced at {OFFERED}: tokens per wall second", paced["tokens"] / paced["wall_s"], "tok/s")
    result.add(
        f"paced at {OFFERED}: tokens per processor second of the service",
        paced["tokens"] / paced["cpu_s"],
        "tok/s",
    )
    result.details = {"flood": flood, "paced": paced, "bare": ceiling, "flood_streams": FLOOD_STREAMS}
    result.details |= {
        "paced_streams": PACED_STREAMS,
        "tokens_an_answer": len(material.tokens(material.LONG)),
    }
    return result


async def _load(ask: Ask, on: Stage, *, num_streams: int, seconds: float) -> dict[str, float]:
    """Keep so many streams open for a time; answers that outlast it count with their share of time."""
    begun, cpu = time.perf_counter(), on.service_cpu_s()
    tokens = 0

    async def worker(_: int) -> None:
        nonlocal tokens
        for item in itertools.count():
            if time.perf_counter() - begun > seconds:
                return
            answer = await ask(item)
            if answer.error or answer.text != material.LONG:
                raise RuntimeError(f"an answer is not the engine's: {answer.error or answer.text[:200]!r}")
            tokens += answer.tokens

    async with asyncio.TaskGroup() as group:
        for index in range(num_streams):
            group.create_task(worker(index))
    wall_s = time.perf_counter() - begun
    return {"tokens": tokens, "wall_s": round(wall_s, 3), "cpu_s": round(on.service_cpu_s() - cpu, 3)}
