"""Replicas behind one face: the load spreads, a failure before the first byte is tried once elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from service.engine.base import Delta, Message, Sampling
from service.engine.fake import FakeEngine, Fault, Script
from service.engine.replicas import Replicas, ReplicaState
from service.errors import EngineAborted, EngineDown, EngineError, EngineOverloaded, EngineRejected

MESSAGES: list[Message] = [{"role": "user", "content": "опиши велосипед"}]
SAMPLING = Sampling(max_tokens=100)
SLOW = Script(text="да " * 100, token_s=0.01)


async def collect(engine: Replicas) -> list[Delta]:
    async with aclosing(engine.generate(MESSAGES, sampling=SAMPLING, request_id="r")) as answer:
        return [delta async for delta in answer]


def pair(
    fault: Fault | None = None, *, after: int = 0, **options: float
) -> tuple[FakeEngine, FakeEngine, Replicas]:
    """Two engines of which the first, whose turn comes first, has the fault."""
    first = FakeEngine(Script(fault=fault, fault_after=after))
    second = FakeEngine()
    return first, second, Replicas({"a": first, "b": second}, **options)


def started(*engines: FakeEngine) -> list[int]:
    return [engine.started for engine in engines]


def test_a_version_without_engines_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Replicas({})


async def test_requests_go_where_the_least_is_in_flight() -> None:
    engines = {name: FakeEngine(SLOW) for name in "abc"}
    replicas = Replicas(engines)
    tasks = [asyncio.create_task(collect(replicas)) for _ in range(12)]
    await asyncio.sleep(0.05)
    assert [engine.in_flight for engine in engines.values()] == [4, 4, 4]
    assert replicas.states() == dict.fromkeys("abc", ReplicaState(up=True, in_flight=4))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert {state.in_flight for state in replicas.states().values()} == {0}


async def test_one_after_another_takes_turns() -> None:
    first, second, replicas = pair()
    for _ in range(6):
        await collect(replicas)
    assert started(first, second) == [3, 3]


@pytest.mark.parametrize("fault", ["down", "overloaded", "drop"])
async def test_a_failure_before_the_first_byte_is_tried_elsewhere(fault: Fault) -> None:
    _, second, replicas = pair(fault)
    assert (await collect(replicas))[-1].finish_reason == "stop"
    assert second.finished == 1
    assert replicas.num_retries == 1


@pytest.mark.parametrize(
    ("fault", "after", "error"),
    [
        ("rejected", 0, EngineRejected),
        ("abort", 0, EngineAborted),
        ("abort", 2, EngineAborted),
        ("drop", 2, EngineDown),
    ],
)
async def test_a_refusal_or_a_started_answer_is_not_tried_again(
    fault: Fault, after: int, error: type[EngineError]
) -> None:
    _, second, replicas = pair(fault, after=after)
    with pytest.raises(error):
        await collect(replicas)
    assert second.started == replicas.num_retries == 0


async def test_a_request_is_tried_twice_at_most() -> None:
    engines = {name: FakeEngine(Script(fault="overloaded")) for name in "abc"}
    replicas = Replicas(engines)
    with pytest.raises(EngineOverloaded):
        await collect(replicas)
    assert replicas.num_retries == 1


async def test_a_single_replica_is_tried_once() -> None:
    replicas = Replicas({"a": FakeEngine(Script(fault="down"))})
    with pytest.raises(EngineDown):
        await collect(replicas)
    assert replicas.num_retries == 0


async def test_a_replica_that_was_down_rests_and_returns() -> None:
    first, second, replicas = pair("down", cool_down_s=0.1)
    for _ in range(4):
        await collect(replicas)
    assert replicas.num_retries == 1
    assert [state.up for state in replicas.states().values()] == [False, True]
    first.script = Script()
    await asyncio.sleep(0.11)
    for _ in range(4):
        await collect(replicas)
    assert started(first, second) == [2, 6]


async def test_when_all_are_down_they_are_tried_all_the_same() -> None:
    first, second, replicas = pair("down", cool_down_s=60.0)
    second.go_down()
    with pytest.raises(EngineDown):
        await collect(replicas)
    assert not any(state.up for state in replicas.states().values())
    second.come_up()
    results = await asyncio.gather(*(collect(replicas) for _ in range(3)), return_exceptions=True)
    assert any(isinstance(result, list) for result in results)
    assert replicas.states()["b"].up
    assert first.started == 0


async def test_a_full_queue_does_not_mark_a_replica_down() -> None:
    _, _, replicas = pair("overloaded")
    await collect(replicas)
    assert all(state.up for state in replicas.states().values())


async def test_health_needs_one_and_refreshes_the_marks() -> None:
    first, second, replicas = pair("down", cool_down_s=60.0)
    await replicas.health()
    assert [state.up for state in replicas.states().values()] == [False, True]
    first.script = Script()
    await replicas.health()
    assert all(state.up for state in replicas.states().values())
    first.go_down()
    second.go_down()
    with pytest.raises(EngineDown):
        await replicas.health()


async def test_closing_the_answer_frees_the_replica() -> None:
    engine = FakeEngine(SLOW)
    async with aclosing(
        Replicas({"a": engine}).generate(MESSAGES, sampling=SAMPLING, request_id="r")
    ) as answer:
        await anext(answer)
        assert engine.in_flight == 1
    assert (engine.in_flight, engine.cancelled) == (0, 1)


async def test_close_closes_all() -> None:
    first, second, replicas = pair()
    await replicas.close()
    for engine in (first, second):
        with pytest.raises(EngineDown):
            await engine.health()


async def test_the_load_is_that_of_all_replicas_that_tell() -> None:
    first, second, replicas = pair()
    first.in_flight, second.in_flight = 2, 3
    assert await replicas.load() == 5


async def test_the_load_of_replicas_of_which_none_can_be_asked_is_an_error() -> None:
    class Dead(FakeEngine):
        async def load(self) -> int | None:
            raise EngineDown("gone")

    assert await Replicas({"a": Dead(), "b": FakeEngine()}).load() == 0
    with pytest.raises(EngineDown):
        await Replicas({"a": Dead()}).load()
