"""The real engine on this machine, bare and behind the service: same prompts, same sampling, in turns."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from models.card import Card, load_card
from models.store import default_cache
from service.engine.local import EngineStartError, LocalEngine
from service.engine.vllm import VllmEngine
from tests.bench import listings
from tests.bench.connection import Client, client, post
from tests.bench.load import Answer, ask_bare, ask_served, in_parallel
from tests.bench.report import Result, percentile
from tests.bench.stage import default_card, engine_request, service

START_LIMIT_S = 900
NUM_LISTINGS = 48
CONCURRENCY = (1, 4, 16)
WINDOW_S = 20
TURNS = "ABBAABBA"  # A bare, B service: a drift that is steady cancels out
GENERATED = re.compile(r"^vllm:generation_tokens_total\{[^}]*\} (\S+)$", re.MULTILINE)
Ask = Callable[[dict[str, Any]], Awaitable[Answer]]


@dataclass(kw_only=True)
class Run:
    """One side's turn: the answers that ended in it, and the tokens that the engine itself counted in it."""

    answers: list[Answer]
    wall_s: float
    generated: float


async def run(*, quick: bool) -> Result:
    """Start one vLLM, put the service before it, and ask both at 1, 4 and 16 requests at once."""
    bodies = listings.bodies(8 if quick else NUM_LISTINGS)
    name = default_card()
    card = load_card(name)
    result = Result(
        compared=f"{name} on one vLLM; A: the service's client of it alone, B: POST /describe in streams "
        f"before the same vLLM; real listings, turns {TURNS} of {WINDOW_S} s; tokens/s by vLLM's counter, "
        "so that retries count as work; the service's characters are those left by the guards"
    )
    local = LocalEngine(card, card_source=name, cache=default_cache(), on_restart=_restarted)
    try:
        try:
            await local.start(timeout_s=START_LIMIT_S)
        except EngineStartError as error:
            raise RuntimeError(str(error)) from None
        settings = {"LLM_MAX_IN_FLIGHT": "16", "LLM_DEFAULT_DEADLINE_S": "300"}
        async with service(local.client.url, card=name, settings=settings) as (url, _), client(url) as served:
            sides = {"A": _bare(local.client, card), "B": _served(served)}
            await in_parallel(sides["A"], bodies, num_workers=8)  # every prompt's prefix is cached for both
            await in_parallel(sides["B"], bodies[:8], num_workers=8)
            seconds = 8 if quick else WINDOW_S
            for concurrency in (4,) if quick else CONCURRENCY:
                turns = [
                    (side, await _turn(sides[side], bodies, local.client, concurrency, seconds))
                    for side in (TURNS[:4] if quick else TURNS)
                ]
                _report(result, concurrency, turns)
    finally:
        await local.close()
    return result


def _restarted() -> None:
    """Leave it to the answers that break: they end the benchmark."""


def _bare(engine: VllmEngine, card: Card) -> Ask:
    async def ask(body: dict[str, Any]) -> Answer:
        messages, sampling = engine_request(body, card)
        return await ask_bare(engine, messages, sampling)

    return ask


def _served(service: Client) -> Ask:
    async def ask(body: dict[str, Any]) -> Answer:
        return await ask_served(service, post("/describe", orjson.dumps(body)))

    return ask


async def _turn(
    ask: Ask, bodies: Sequence[dict[str, Any]], engine: VllmEngine, concurrency: int, seconds: float
) -> Run:
    """Keep so many requests running for the whole turn: a tail that runs alone would slow down the mean."""
    source = itertools.cycle(bodies)
    ended: list[Answer] = []
    over = asyncio.Event()

    async def worker() -> None:
        while not over.is_set():
            answer = await ask(next(source))
            if answer.error:
                raise RuntimeError(f"an answer failed: {answer.error}")
            ended.append(answer)

    async with asyncio.TaskGroup() as group:
        before, begun = await _generated(engine), time.perf_counter()
        for _ in range(concurrency):
            group.create_task(worker())
        await asyncio.sleep(seconds)
        over.set()
        generated, answers = await _generated(engine) - before, [*ended]
        wall_s = time.perf_counter() - begun
    return Run(answers=answers, wall_s=wall_s, generated=generated)


async def _generated(engine: VllmEngine) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{engine.url}/metrics") as response:
        return sum(float(value) for value in GENERATED.findall(await response.text()))


def _report(result: Result, concurrency: int, turns: Sequence[tuple[str, Run]]) -> None:
    speed = {}
    for side, title in (("A", "bare"), ("B", "service")):
        of_side = [one for name, one in turns if name == side]
        answers = [answer for one in of_side for answer in one.answers]
        wall_s = sum(one.wall_s for one in of_side)
        first = [answer.first_s for answer in answers if answer.first_s]
        speed[side] = sum(one.generated for one in of_side) / wall_s
        name = f"{concurrency} at once, {title}"
        what = "first token" if side == "A" else "first sentence"
        result.add(f"{name}: {what} p50", percentile(first, 0.5), "s")
        result.add(f"{name}: {what} p95", percentile(first, 0.95), "s")
        result.add(f"{name}: whole answer p50", percentile([answer.total_s for answer in answers], 0.5), "s")
        result.add(f"{name}: characters/s", sum(len(answer.text) for answer in answers) / wall_s, "char/s")
        result.add(f"{name}: output tokens/s", speed[side], "tok/s")
        fallback = sum(answer.done.get("finish") == "fallback" for answer in answers)
        result.details[name] = {
            "requests": len(answers),
            "tokens_told": sum(answer.tokens for answer in answers),
            "fallbacks": fallback,
            "tokens_a_turn": [one.generated for one in of_side],
        }
    result.add(
        f"{concurrency} at once: service / bare, tokens/s", 100 * speed["B"] / speed["A"], "%", least=97
    )
