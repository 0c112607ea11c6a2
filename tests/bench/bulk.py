"""Bulk: listings per second with and without prefix caching, what bulk itself costs, who waits for whom."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from models.card import load_card
from models.store import default_cache
from service.engine.local import EngineStartError, LocalEngine
from tests.bench import listings
from tests.bench.connection import Client, client, post
from tests.bench.report import ROOT, Result, add_percentiles
from tests.bench.stage import default_card, service

START_LIMIT_S = 900
NUM_LISTINGS, NUM_ROWS = 200, 10_000
WARM_UP_LISTINGS = 16
IN_FLIGHT = 32
WINDOW_S = 90
SETTLE_S = 5  # until the engine is full
NOT_CACHED = "--no-enable-prefix-caching"
RATE = re.compile(r"this run: .* ([\d.,]+) rows/s, (\d+)% from the store")
MODEL = '{"brand":null,"models":[]}'


async def run(*, quick: bool) -> Result:
    """Run `python -m service bulk` before a scripted engine, then before a real one in two settings."""
    num = 24 if quick else NUM_LISTINGS
    result = Result(
        compared=f"`python -m service bulk extract-model` on {num} real titles with their parameters, "
        f"{IN_FLIGHT} in flight, nothing in the store; {default_card()} on one vLLM, prefix caching on and "
        "off; interactive: POST /describe, one after another, with and without a bulk run on the same vLLM; "
        f"without an engine: a scripted one that answers at once, {NUM_ROWS} different rows"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        await _own_cost(result, folder, num=500 if quick else NUM_ROWS)
        source = _write(folder / "real.jsonl", listings.bodies(num))
        warm_up = _write(folder / "warm_up.jsonl", listings.bodies(WARM_UP_LISTINGS + 1)[:WARM_UP_LISTINGS])
        speed = {}
        for title, arguments in (("caching", ""), ("no caching", NOT_CACHED)):
            async with _engine(arguments) as url:
                deployment = _deployment(folder, url)
                await _bulk(deployment, warm_up, folder / f"{title} warm-up.jsonl")
                speed[title], _ = await _bulk(deployment, source, folder / f"{title}.jsonl")
                result.add(f"real engine, prefix {title}", speed[title], "listings/s")
                if not arguments:
                    await _interactive(result, url, deployment, folder, seconds=15 if quick else WINDOW_S)
        result.add("prefix caching / none", speed["caching"] / speed["no caching"], "x")
    return result


async def _own_cost(result: Result, folder: Path, *, num: int) -> None:
    """Measure what is left when the engine takes no time: reading, prompts, checks, store, writing."""
    source = _write(folder / "rows.jsonl", _different(num))
    deployment = _deployment(folder, f"fake://?{urlencode({'text': MODEL})}")
    store = folder / "answers.sqlite"
    for title in ("asked", "from the store"):
        rate, recalled = await _bulk(deployment, source, folder / f"{title}.jsonl", store=store)
        result.add(f"no engine time, {title}", rate, "rows/s")
        result.details[f"{title}: % from the store"] = recalled


async def _interactive(
    result: Result, engine_url: str, deployment: Path, folder: Path, *, seconds: float
) -> None:
    """Ask /describe for a while alone, then for as long while a bulk run keeps the engine full."""
    bodies = [orjson.dumps({**body, "stream": True}) for body in listings.bodies(48)]
    source = _write(folder / "load.jsonl", _different(NUM_ROWS))  # more than a window can take
    settings = {"LLM_DEFAULT_DEADLINE_S": "300", "LLM_ANSWERS": ":memory:"}
    async with (
        service(engine_url, card=default_card(), settings=settings) as (url, _),
        client(url) as served,
    ):
        for body in bodies[:3]:
            await served.ask(post("/describe", body))
        _report(result, "alone", await _asked(served, bodies, seconds))
        out = folder / "load.out.jsonl"
        process = await _start(deployment, source, out, store=None)
        try:
            while not (out.exists() and out.stat().st_size):
                if process.returncode is not None:
                    raise RuntimeError("bulk ended before the window began")
                await asyncio.sleep(0.1)
            await asyncio.sleep(SETTLE_S)
            before, begun = _lines(out), time.perf_counter()
            _report(result, "beside bulk", await _asked(served, bodies, seconds))
            rate = (_lines(out) - before) / (time.perf_counter() - begun)
            result.add("bulk meanwhile", rate, "listings/s")
            if process.returncode is not None:
                raise RuntimeError("bulk ended within the window")
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()


async def _asked(served: Client, bodies: Sequence[bytes], seconds: float) -> list[tuple[float, float]]:
    """Return (first sentence, whole answer) in seconds of the requests of a window."""
    until = time.perf_counter() + seconds
    times = []
    for body in itertools.cycle(bodies):
        reply = await served.ask(post("/describe", body))
        if reply.status != 200:
            raise RuntimeError(f"/describe answered {reply.status}")
        times.append((reply.first_s, reply.total_s))
        if time.perf_counter() > until:
            break
    return times


def _report(result: Result, title: str, times: list[tuple[float, float]]) -> None:
    add_percentiles(result, f"interactive {title}: first sentence", [first for first, _ in times])
    add_percentiles(result, f"interactive {title}: whole answer", [whole for _, whole in times])
    result.details[f"interactive {title}: requests"] = len(times)


@asynccontextmanager
async def _engine(arguments: str) -> AsyncIterator[str]:
    """Run a vLLM with more arguments; yield its address."""
    before = os.environ.get("LLM_ENGINE_ARGS", "")
    os.environ["LLM_ENGINE_ARGS"] = f"{before} {arguments}".strip()
    local = LocalEngine(
        load_card(default_card()), card_source=default_card(), cache=default_cache(), on_restart=lambda: None
    )
    try:
        await local.start(timeout_s=START_LIMIT_S)
        yield local.client.url
    except EngineStartError as error:
        raise RuntimeError(str(error)) from None
    finally:
        await local.close()
        os.environ["LLM_ENGINE_ARGS"] = before


def _deployment(folder: Path, engine: str) -> Path:
    path = folder / "deployment.toml"
    path.write_text(
        f'default = "bench"\n[versions.bench]\ncard = "{default_card()}"\nengines = [{json.dumps(engine)}]\n'
    )
    return path


def _different(num: int) -> list[dict[str, Any]]:
    """Return real listings, each with a model of its own: equal ones would be asked once."""
    real = itertools.cycle(listings.bodies(200))
    return [
        {**body, "title": f"{body['title'][:150]} Stels Navigator {number}"}
        for number, body in zip(range(num), real, strict=False)
    ]


def _write(path: Path, bodies: Sequence[dict[str, Any]]) -> Path:
    rows = [
        {"item_id": number, **{name: body[name] for name in ("title", "category", "params")}}
        for number, body in enumerate(bodies)
    ]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


async def _bulk(deployment: Path, source: Path, out: Path, *, store: Path | None = None) -> tuple[float, int]:
    """Return the rate that the command tells at its end, and the share from the store."""
    process = await _start(deployment, source, out, store=store)
    stdout, stderr = await process.communicate()
    found = RATE.search(stdout.decode())
    if process.returncode or not found:
        raise RuntimeError(f"bulk ended with {process.returncode}: {stderr.decode()[-1000:]}")
    return float(found[1].replace(",", "")), int(found[2])


async def _start(
    deployment: Path, source: Path, out: Path, *, store: Path | None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        "bulk",
        "extract-model",
        str(source),
        str(out),
        "--deployment",
        str(deployment),
        "--in-flight",
        str(IN_FLIGHT),
        cwd=ROOT,
        env={**os.environ, "LLM_ANSWERS": str(store or ":memory:")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")
