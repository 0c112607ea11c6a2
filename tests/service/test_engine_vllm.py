"""The vLLM client against a server that misbehaves in every way a network and an engine can."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from service.engine.base import Delta, Message, Sampling
from service.engine.fake import FakeEngine, Script
from service.engine.vllm import VllmEngine
from service.errors import EngineAborted, EngineDown, EngineError, EngineOverloaded, EngineRejected
from tests.service.openai_server import OpenAIServer

TEXT = "Продаётся «Škoda» 🚲 за 5 000 ₽, торг уместен."
MESSAGES: list[Message] = [{"role": "user", "content": "секрет покупателя"}]
SLOW = Script(text="да " * 1000, token_s=0.01)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(FakeEngine(Script(text=TEXT, token_s=0.001))).running() as running:
        yield running


@pytest.fixture
async def engine(server: OpenAIServer) -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(server.url, model=server.model, stall_timeout_s=0.5, health_timeout_s=0.5)
    yield engine
    await engine.close()


async def collect(engine: VllmEngine, **sampling: object) -> list[Delta]:
    wanted = Sampling(**{"max_tokens": 50, **sampling})  # type: ignore[arg-type]
    async with aclosing(engine.generate(MESSAGES, sampling=wanted, request_id="r-1")) as answer:
        return [delta async for delta in answer]


async def failing(engine: VllmEngine) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await collect(engine)
    assert "секрет" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("dribble", [False, True])
async def test_text_survives_any_cutting_of_the_bytes(
    server: OpenAIServer, engine: VllmEngine, newline: str, dribble: bool
) -> None:
    server.wire.newline, server.wire.dribble, server.wire.comments = newline, dribble, True
    deltas = await collect(engine, logprobs=0)
    assert "".join(delta.text for delta in deltas) == TEXT
    assert deltas[-1].usage is not None
    assert sum(len(delta.logprobs) for delta in deltas) == deltas[-1].usage.completion_tokens


async def test_every_sampling_value_is_sent(server: OpenAIServer, engine: VllmEngine) -> None:
    await collect(
        engine, temperature=0.3, top_k=40, min_p=0.1, seed=5, stop=("\n",), logprobs=2, choice=(TEXT,)
    )
    sent = server.requests[-1]
    assert {key: sent[key] for key in ("temperature", "top_k", "min_p", "seed", "stop")} == {
        "temperature": 0.3,
        "top_k": 40,
        "min_p": 0.1,
        "seed": 5,
        "stop": ["\n"],
    }
    assert sent["logprobs"] is True
    assert sent["top_logprobs"] == 2
    assert sent["structured_outputs"] == {"choice": [TEXT]}
    assert sent["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


async def test_request_id_reaches_the_server(server: OpenAIServer, engine: VllmEngine) -> None:
    await collect(engine)
    assert server.requests[-1]["request_id"] == server.headers[-1]["X-Request-Id"] == "r-1"


async def test_priority_is_sent_only_to_a_server_that_takes_it(
    server: OpenAIServer, engine: VllmEngine
) -> None:
    async with aclosing(
        engine.generate(MESSAGES, sampling=Sampling(max_tokens=1), request_id="r", priority=3)
    ) as answer:
        assert [delta async for delta in answer]
    assert "priority" not in server.requests[-1]
    ranked = VllmEngine(server.url, model=server.model, supports_priority=True)
    with pytest.raises(EngineRejected):  # the server behind this test has no priority scheduling
        await anext(ranked.generate(MESSAGES, sampling=Sampling(max_tokens=1), request_id="r", priority=3))
    assert server.requests[-1]["priority"] == 3
    await ranked.close()


async def test_connections_are_reused(server: OpenAIServer, engine: VllmEngine) -> None:
    for _ in range(5):
        await collect(engine)
    assert len(server.connections) == 1


async def test_an_end_of_body_that_lags_does_not_hold_the_answer(
    server: OpenAIServer, engine: VllmEngine
) -> None:
    server.wire.hold_open_s = 5.0
    begin = time.monotonic()
    deltas = await collect(engine)
    assert deltas[-1].finish_reason == "stop"
    assert time.monotonic() - begin < 1.0


async def test_a_finish_reason_is_enough_without_usage(server: OpenAIServer, engine: VllmEngine) -> None:
    server.wire.no_done = True
    last = (await collect(engine))[-1]
    assert (last.finish_reason, last.usage) == ("stop", None)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"message": "секрет", "type": "BadRequestError", "code": 400}}, EngineRejected),
        (404, {"error": {"message": "секрет", "type": "NotFoundError", "code": 404}}, EngineRejected),
        (400, {"error": {"message": "m", "type": "секрет", "code": 400}}, EngineRejected),
        (429, None, EngineOverloaded),
        (503, {"error": {"message": "busy", "type": "Service Unavailable", "code": 503}}, EngineOverloaded),
        (503, {"error": {"message": "kv", "type": "ServiceUnavailableError", "code": 503}}, EngineDown),
        (503, {"error": "The model is currently scaling. Please try again later."}, EngineDown),
        (503, "<html>no backend</html>", EngineDown),
        (500, {"error": {"message": "секрет", "type": "InternalServerError", "code": 500}}, EngineDown),
        (302, None, EngineDown),
    ],
)
async def test_a_refusal_by_status(
    server: OpenAIServer, engine: VllmEngine, status: int, body: object, expected: type[EngineError]
) -> None:
    server.wire.status, server.wire.body = status, body if isinstance(body, str) else json.dumps(body)
    error = await failing(engine)
    assert type(error) is expected
    assert not error.started
    if expected is EngineOverloaded:
        assert error.retry_after_s == 1.0


@pytest.mark.parametrize(
    ("events", "code", "expected", "started"),
    [
        (0, 400, EngineRejected, False),
        (0, 500, EngineAborted, False),
        (1, 500, EngineAborted, True),
        (3, 500, EngineAborted, True),
        (3, 503, EngineAborted, True),
    ],
)
async def test_an_error_event_in_the_stream(
    server: OpenAIServer,
    engine: VllmEngine,
    events: int,
    code: int,
    expected: type[EngineError],
    started: bool,
) -> None:
    server.wire.error_after, server.wire.error_code = events, code
    error = await failing(engine)
    assert (type(error), error.started) == (expected, started)


@pytest.mark.parametrize("reason", ["abort", "repetition", "tool_calls"])
async def test_no_other_finish_reason_passes_for_success(
    server: OpenAIServer, engine: VllmEngine, reason: str
) -> None:
    server.wire.finish_reason = reason
    error = await failing(engine)
    assert (type(error), error.started) == (EngineAborted, True)


async def test_an_abort_under_way_is_a_failure(server: OpenAIServer, engine: VllmEngine) -> None:
    server.engine.script = Script(text=TEXT, fault="abort", fault_after=2)
    assert type(await failing(engine)) is EngineAborted


async def test_a_stream_that_ends_without_finish_reason_is_a_failure(
    server: OpenAIServer, engine: VllmEngine
) -> None:
    server.wire.end_after = 3
    error = await failing(engine)
    assert (type(error), error.started) == (EngineAborted, True)


async def test_a_body_without_a_byte_has_not_started(server: OpenAIServer, engine: VllmEngine) -> None:
    server.wire.end_after = 0
    assert not (await failing(engine)).started


async def test_an_event_that_is_no_chunk_is_a_failure_that_keeps_the_text_out(
    server: OpenAIServer, engine: VllmEngine
) -> None:
    server.wire.garbage_after = 2
    error = await failing(engine)
    assert type(error) is EngineAborted
    assert error.__cause__ is None


async def test_a_connection_cut_under_way_is_down_and_started(
    server: OpenAIServer, engine: VllmEngine
) -> None:
    server.engine.script = Script(text=TEXT, token_s=0.01, fault="drop", fault_after=2)
    error = await failing(engine)
    assert (type(error), error.started) == (EngineDown, True)


@pytest.mark.parametrize(("after", "started"), [(0, False), (2, True)])
async def test_silence_is_down(server: OpenAIServer, engine: VllmEngine, after: int, started: bool) -> None:
    server.engine.script = Script(text=TEXT, fault="hang", fault_after=after)
    error = await failing(engine)
    assert (type(error), error.started) == (EngineDown, started)
    await asyncio.sleep(0.1)
    assert server.engine.in_flight == 0


async def test_text_that_is_no_unicode_is_rejected(engine: VllmEngine) -> None:
    messages: list[Message] = [{"role": "user", "content": "\ud800"}]
    with pytest.raises(EngineRejected):
        await anext(engine.generate(messages, sampling=Sampling(max_tokens=1), request_id="r"))


async def freed_within(server: OpenAIServer, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while server.engine.in_flight and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    return server.engine.in_flight == 0


async def test_closing_the_answer_reaches_the_server_at_once(
    server: OpenAIServer, engine: VllmEngine
) -> None:
    server.engine.script = SLOW
    async with aclosing(
        engine.generate(MESSAGES, sampling=Sampling(max_tokens=1000), request_id="r")
    ) as answer:
        await anext(answer)
        assert server.engine.in_flight == 1
    assert await freed_within(server, 0.2)
    assert server.engine.cancelled == 1


@pytest.mark.parametrize("first_token_s", [0.0, 10.0], ids=["while streaming", "while waiting"])
async def test_cancelling_the_task_reaches_the_server_at_once(
    server: OpenAIServer, engine: VllmEngine, first_token_s: float
) -> None:
    server.engine.script = Script(text="да " * 1000, token_s=0.01, first_token_s=first_token_s)
    task = asyncio.create_task(collect(engine, max_tokens=1000))
    await asyncio.sleep(0.1)
    assert server.engine.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await freed_within(server, 0.2)


async def test_closing_the_engine_ends_running_answers(server: OpenAIServer, engine: VllmEngine) -> None:
    server.engine.script = SLOW
    task = asyncio.create_task(failing(engine))
    await asyncio.sleep(0.1)
    await engine.close()
    assert type(await task) is EngineDown
    assert await freed_within(server, 0.2)


async def test_health_asks_for_a_real_token(server: OpenAIServer, engine: VllmEngine) -> None:
    await engine.health()
    assert server.requests[-1]["max_tokens"] == 1


async def test_a_live_server_that_gives_no_token_is_not_healthy(server: OpenAIServer) -> None:
    server.engine.script = Script(fault="hang")
    engine = VllmEngine(server.url, model=server.model, health_timeout_s=0.2)
    with pytest.raises(EngineDown, match="no token within"):
        await engine.health()
    await engine.close()


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_end_as_people_write_it(server: OpenAIServer, suffix: str) -> None:
    engine = VllmEngine(server.url + suffix, model=server.model)
    await engine.health()
    await engine.close()


async def test_a_hundred_streams_at_once(server: OpenAIServer, engine: VllmEngine) -> None:
    answers = await asyncio.gather(*(collect(engine) for _ in range(100)))
    assert all("".join(delta.text for delta in deltas) == TEXT for deltas in answers)
