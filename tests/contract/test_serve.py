"""The issue's proof on a real vLLM: real listings, bad bodies, a killed engine, a shutdown under load.

The tests run in the order of the file; the last one ends the service.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.bench.descriptions import LISTINGS, real_sample
from tests.contract.conftest import RealService, processes
from tests.service.test_api_malformed import PLACES, SYNTAX

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

OWN_LISTINGS: list[dict[str, Any]] = [
    {"title": "Горный велосипед Stels", "category": "Велосипеды", "params": {"Цвет": "Синий"}, "price": 8500},
    {"title": "Ремонт ноутбуков", "category": "Предложение услуг", "params": {}, "price": None},
    {"title": "Шапка зимняя", "params": {"Для кого": "Для девочек", "Размер": "52"}, "price": 300},
]
SHARED = {"id", "model_version", "experiment", "usage", "timings_ms"}
OWN = {"description", "captions", "skipped_photos", "used_facts", "removed_claims", "finish"}
RECOVERY_S = 240


def listings(num: int) -> list[dict[str, Any]]:
    """Return random real listings where the data is there, else a few of our own."""
    return [one.body for one in real_sample(num, seed=2026)] if LISTINGS.is_dir() else OWN_LISTINGS


@pytest.fixture
async def client(real_service: RealService) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(real_service.url, connector=connector) as session:
        yield session


async def whole(client: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    async with client.post("/describe", json=body) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        assert response.headers["X-Model-Version"] == answer["model_version"]
        return answer


async def streamed(client: aiohttp.ClientSession, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the events as (name, data); what breaks off in mid-event raises."""
    async with client.post("/describe", json={**body, "stream": True}) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        text = (await response.read()).decode()
    assert text.endswith("\n\n")
    events = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


def openings(text: str) -> set[str]:
    """Return the first letters of all words: enough to tell whether a text is about a listing."""
    return {word[:5] for word in re.findall(r"[^\W_]{3,}", text.lower())}


def check_answer(body: dict[str, Any], answer: dict[str, Any]) -> None:
    assert answer.keys() == SHARED | OWN
    assert answer["finish"] in {"stop", "length", "fallback"}
    assert re.search("[а-яё]{3}", answer["description"].lower()), answer
    assert len(answer["description"]) <= body.get("max_chars", 1000)
    assert openings(answer["description"]) & openings(json.dumps(body, ensure_ascii=False)), answer
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["usage"]["completion_tokens"] > 0


async def in_turns(calls: list[Any], *, parallel: int = 8) -> list[Any]:
    gate = asyncio.Semaphore(parallel)

    async def one(call: Any) -> Any:
        async with gate:
            return await call

    return await asyncio.gather(*map(one, calls))


async def test_real_listings_are_answered_whole(client: aiohttp.ClientSession) -> None:
    bodies = listings(20)
    answers = await in_turns([whole(client, body) for body in bodies])
    for body, answer in zip(bodies, answers, strict=True):
        check_answer(body, answer)
    assert any(answer["finish"] != "fallback" for answer in answers), "the model itself never got through"


async def test_real_listings_are_answered_streamed(client: aiohttp.ClientSession) -> None:
    bodies = listings(20)
    for body, events in zip(bodies, await in_turns([streamed(client, body) for body in bodies]), strict=True):
        *sentences, (last, answer) = events
        assert last == "done"
        check_answer(body, answer)
        assert {name for name, _ in sentences} <= {"sentence"}
        assert answer["description"] == " ".join(data["text"] for _, data in sentences)


async def test_an_answer_of_the_same_request_is_the_same(client: aiohttp.ClientSession) -> None:
    first, second = [await whole(client, OWN_LISTINGS[0]) for _ in range(2)]
    assert first["description"] == second["description"]
    assert first["id"] != second["id"]


async def test_a_client_that_hangs_up_frees_the_engine(client: aiohttp.ClientSession, vllm_url: str) -> None:
    async def running() -> float:
        async with aiohttp.request("GET", f"{vllm_url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:num_requests_running"))

    calls = [asyncio.create_task(whole(client, {"title": f"Стол письменный {i}"})) for i in range(4)]
    while await running() < 4:
        assert not all(call.done() for call in calls), "too fast to hang up on"
    for call in calls:
        call.cancel()
    begun = time.monotonic()
    while await running():
        assert time.monotonic() - begun < 2  # vLLM itself takes up to a second to notice
    await asyncio.gather(*calls, return_exceptions=True)


async def test_malformed_bodies_are_told_what_is_wrong(client: aiohttp.ClientSession) -> None:
    bodies = [*SYNTAX.values(), *(body for body, _ in PLACES.values())]
    assert len(bodies) >= 20
    for body in bodies:
        async with client.post(
            "/describe", data=body, headers={"Content-Type": "application/json"}
        ) as response:
            assert response.status == 422, body[:100]
            assert response.content_type == "application/problem+json"
            faults = (await response.json(content_type=None))["errors"]
            assert faults
            assert all(fault["loc"] and fault["msg"] for fault in faults)


async def test_a_body_over_the_limit_is_413(client: aiohttp.ClientSession) -> None:
    body = io.BytesIO(
        b'{"title": "' + b"x" * 21 * 2**20 + b'"}'
    )  # aiohttp warns of so many bytes in one piece
    async with client.post("/describe", data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 413
        assert (await response.json(content_type=None))["code"] == "payload_too_large"


async def test_an_unknown_version_is_404(client: aiohttp.ClientSession) -> None:
    async with client.post("/describe", json={"title": "Стол", "model_version": "no-such"}) as response:
        assert response.status == 404
        assert (await response.json())["code"] == "unknown_model_version"


async def test_a_killed_engine_ends_the_stream_with_an_error_and_comes_back(
    client: aiohttp.ClientSession, real_service: RealService
) -> None:
    async with client.post("/describe", json={**OWN_LISTINGS[0], "stream": True}) as response:
        assert response.status == 200  # the stream has begun
        for pid in real_service.engine_processes()[1:2]:  # the server itself, behind the leash
            os.kill(pid, signal.SIGKILL)
        text = (await response.read()).decode()
    names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert names[-1] == "error", text
    assert names.count("error") == 1
    problem = json.loads(text.rstrip().rsplit("data: ", 1)[1])
    assert problem["status"] in {502, 503}

    async with client.post("/describe", json=OWN_LISTINGS[0]) as response:
        assert response.status == 503, await response.text()
        assert response.headers["Retry-After"]

    deadline = time.monotonic() + RECOVERY_S
    while True:
        async with client.post("/describe", json=OWN_LISTINGS[0]) as response:
            if response.status == 200:
                break
        assert time.monotonic() < deadline, real_service.log.read_text(encoding="utf-8")[-2000:]
        await asyncio.sleep(1)
    assert len(real_service.events("engine is ready")) == 2


async def test_sigterm_under_32_requests_loses_none(
    client: aiohttp.ClientSession, real_service: RealService
) -> None:
    engine = real_service.engine_processes()
    assert engine
    bodies = (listings(20) * 11)[:32]
    calls = [
        asyncio.create_task(streamed(client, body) if number % 2 else whole(client, body))
        for number, body in enumerate(bodies)
    ]
    async with aiohttp.ClientSession(real_service.url) as other:
        while True:
            async with other.get("/metrics") as response:
                lines = (await response.text()).splitlines()
            if any(line.startswith("llm_in_flight_requests{") and line.endswith(" 32.0") for line in lines):
                break
            assert not all(call.done() for call in calls), "32 requests were never in flight at once"
    real_service.process.send_signal(signal.SIGTERM)
    answers = await asyncio.gather(*calls)
    assert all(a[-1][0] == "done" if isinstance(a, list) else a["description"] for a in answers)
    assert await asyncio.to_thread(real_service.process.wait, 30) == 0
    deadline = time.monotonic() + 20  # the kernel takes seconds to give gigabytes back
    while {pid for pid, _, _, state in processes() if state != "Z"}.intersection(engine):
        assert time.monotonic() < deadline, "the engine outlived the service"
        await asyncio.sleep(0.2)
