"""Deadlines, overload and clients that leave: whatever happens, the places are free afterwards."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import aiohttp
import pytest

from service.engine.fake import FakeEngine, Script
from tests.conftest import Logged, Start
from tests.service.live_service import ENDLESS, SENTENCES, SILENT, TEXT, LiveService, becomes
from tests.service.test_api_malformed import assert_problem

FREED_WITHIN_S = 0.2


async def running(
    service: LiveService, *, num: int, queued: int = 0, stream: bool = False
) -> list[asyncio.Task]:
    """Start requests and wait until so many are at the engine and so many in the queue."""
    tasks = []
    for _ in range(num + queued):
        tasks.append(asyncio.create_task(service.describe(stream=stream)))
        waiting = len(tasks)
        await becomes(lambda waiting=waiting: service.gate.in_flight + service.gate.queued == waiting)
    await becomes(lambda: service.engine.in_flight == num)
    assert service.gate.queued == queued
    return tasks


async def leave(*tasks: asyncio.Task) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Deadlines


async def test_a_late_answer_is_504_and_frees_the_engine(start: Start) -> None:
    service = await start(SILENT)
    answer = await service.describe(headers={"X-Deadline-Ms": "150"})
    problem = assert_problem(answer, status=504, code="deadline_exceeded")
    assert "150 ms" in problem["detail"]
    assert 0.15 <= answer.seconds < 0.15 + FREED_WITHIN_S
    assert service.idle
    assert service.engine.cancelled == 1


async def test_a_late_stream_ends_with_an_error_event(start: Start) -> None:
    service = await start(ENDLESS)
    events = await service.events(headers={"X-Deadline-Ms": "400", "X-Request-Id": "late-1"})
    assert [event.name for event in events] == ["sentence"] * 3 + ["error"]
    assert events[-1].data["code"] == "deadline_exceeded"
    assert events[-1].data["request_id"] == "late-1"
    await becomes(lambda: service.idle, within_s=FREED_WITHIN_S)


async def test_a_stream_that_is_late_before_its_first_sentence_says_so_too(start: Start) -> None:
    service = await start(SILENT)
    events = await service.events(headers={"X-Deadline-Ms": "100"})
    assert [(event.name, event.data["status"]) for event in events] == [("error", 504)]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_deadline_runs_in_the_queue_too(start: Start, stream: bool) -> None:
    service = await start(SILENT, max_in_flight=1, max_queue=5)
    first = await running(service, num=1)
    answer = await service.describe(stream=stream, headers={"X-Deadline-Ms": "100"})
    assert_problem(answer, status=504, code="deadline_exceeded")
    assert (service.gate.in_flight, service.gate.queued) == (1, 0)
    await leave(*first)


async def test_no_deadline_beyond_the_servers_own(start: Start) -> None:
    service = await start(SILENT, max_deadline_s=0.4, default_deadline_s=0.1)
    assert 0.4 <= (await service.describe(headers={"X-Deadline-Ms": "999999999"})).seconds < 2.0
    assert 0.1 <= (await service.describe()).seconds < 0.4


async def test_a_deadline_that_is_kept_changes_nothing(service: LiveService) -> None:
    assert (await service.describe(headers={"X-Deadline-Ms": "20000"})).json["description"] == TEXT


# Overload


@pytest.mark.parametrize("stream", [False, True])
async def test_beyond_places_and_queue_is_429_at_once(start: Start, stream: bool) -> None:
    service = await start(SILENT, max_in_flight=2, max_queue=1)
    inside = await running(service, num=2, queued=1)
    answers = await asyncio.gather(*(service.describe(stream=stream) for _ in range(10)))
    for answer in answers:
        assert_problem(answer, status=429, code="overloaded")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["X-Model-Version"] == "a"
    assert min(answer.seconds for answer in answers) < 0.05
    assert max(answer.seconds for answer in answers) < 0.25
    assert await service.sample("llm_errors_total", code="overloaded") == 10
    assert await service.sample("llm_requests_total", model_version="a", code="overloaded") == 10
    await leave(*inside)


async def test_places_are_counted_for_each_version_by_itself(start: Start) -> None:
    service = await start(SILENT, max_in_flight=1, max_queue=0)
    inside = await running(service, num=1)
    assert (await service.describe()).status == 429
    assert (await service.describe(model_version="b")).status == 200
    await leave(*inside)


async def test_the_queue_is_served_in_order(start: Start) -> None:
    service = await start(Script(text=TEXT, first_token_s=0.03), max_in_flight=1, max_queue=8)
    ended: list[int] = []

    async def ask(turn: int) -> None:
        assert (await service.describe()).status == 200
        ended.append(turn)

    tasks = []
    for turn in range(6):
        tasks.append(asyncio.create_task(ask(turn)))
        await becomes(lambda turn=turn: service.gate.in_flight + service.gate.queued + len(ended) == turn + 1)
    await asyncio.gather(*tasks)
    assert ended == list(range(6))
    assert service.idle


async def test_the_wait_in_the_queue_is_told(start: Start) -> None:
    service = await start(Script(text=TEXT, first_token_s=0.1), max_in_flight=1, max_queue=1)
    first, second = await asyncio.gather(service.describe(), service.describe())
    waits = sorted(answer.json["timings_ms"]["queue"] for answer in (first, second))
    assert waits[0] < 50 <= waits[1]


async def test_the_gauges_show_who_is_inside(start: Start) -> None:
    service = await start(SILENT, max_in_flight=2, max_queue=3)
    inside = await running(service, num=2, queued=3)
    assert await service.sample("llm_in_flight_requests", model_version="a") == 2
    assert await service.sample("llm_queued_requests", model_version="a") == 3
    await leave(*inside)
    await becomes(lambda: service.idle, within_s=FREED_WITHIN_S)
    await service.settled()
    assert await service.sample("llm_in_flight_requests", model_version="a") == 0
    assert await service.sample("llm_queued_requests", model_version="a") == 0


# Clients that leave


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", [SILENT, ENDLESS], ids=["before the first token", "in mid-answer"])
async def test_who_hangs_up_frees_the_place(start: Start, script: Script, stream: bool) -> None:
    service = await start(script)
    tasks = await running(service, num=1, stream=stream)
    await leave(*tasks)
    await becomes(lambda: service.idle, within_s=FREED_WITHIN_S)
    assert service.engine.cancelled == 1


async def test_who_hangs_up_in_mid_stream_frees_the_place_and_is_no_error(
    start: Start, logged: Logged
) -> None:
    service = await start(ENDLESS)
    async with service.streaming() as (_, events):
        assert (await anext(events)).data["text"] == SENTENCES[0]
    await becomes(lambda: service.idle, within_s=FREED_WITHIN_S)
    await service.settled()
    assert await service.sample("llm_requests_total", model_version="a", code="client_closed") == 1
    assert await service.sample("llm_errors_total", code="client_closed") == 1
    assert [line for line in logged() if line["level"] in ("error", "critical")] == []


async def test_who_hangs_up_before_the_answer_is_no_error(start: Start, logged: Logged) -> None:
    service = await start(SILENT)
    await leave(*await running(service, num=1))
    await becomes(lambda: service.idle, within_s=FREED_WITHIN_S)
    await service.settled()
    assert await service.sample("llm_errors_total", code="client_closed") == 1
    assert [line for line in logged() if line["level"] in ("error", "critical")] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_who_hangs_up_in_the_queue_leaves_it(start: Start, stream: bool) -> None:
    service = await start(SILENT, max_in_flight=1, max_queue=2)
    inside = await running(service, num=1)
    waiting = asyncio.create_task(service.describe(stream=stream))
    await becomes(lambda: service.gate.queued == 1)
    await leave(waiting)
    await becomes(lambda: service.gate.queued == 0, within_s=FREED_WITHIN_S)
    assert service.gate.in_flight == 1
    await leave(*inside)


async def test_after_any_mix_nothing_is_held(start: Start) -> None:
    dice = random.Random(7)
    engine = FakeEngine()
    service = await start(Script(), engine=engine, max_in_flight=4, max_queue=6)
    scripts = [
        Script(text=TEXT, token_s=0.002),
        SILENT,
        Script(text=TEXT, fault="abort", fault_after=4, token_s=0.002),
        Script(text=TEXT, fault="drop", fault_after=2),
        Script(fault="down"),
        Script(fault="overloaded"),
        Script(text=""),
    ]
    statuses: set[int] = set()

    async def one() -> None:
        engine.script = dice.choice(scripts)
        options = {"X-Deadline-Ms": str(dice.choice([20, 60, 150]))}
        asking = service.describe(stream=dice.random() < 0.5, headers=options)
        with suppress(TimeoutError, aiohttp.ClientError):  # these hung up
            statuses.add((await asyncio.wait_for(asking, dice.choice([0.01, 0.05, 5]))).status)

    for _ in range(8):
        await asyncio.gather(*(one() for _ in range(15)))
    await becomes(lambda: service.idle, within_s=FREED_WITHIN_S)
    assert statuses >= {200, 429, 504}
    engine.script = Script(text=TEXT)
    answers = await asyncio.gather(*(service.describe() for _ in range(10)))
    assert {answer.status for answer in answers} == {200}
    assert engine.started == engine.finished + engine.failed + engine.cancelled


async def test_two_hundred_and_fifty_six_streams_at_once(start: Start) -> None:
    service = await start(Script(text=TEXT, token_s=0.02), max_in_flight=256)
    streams = await asyncio.gather(*(service.events() for _ in range(256)))
    assert all([event.name for event in events] == ["sentence"] * 3 + ["done"] for events in streams)
    assert service.idle
