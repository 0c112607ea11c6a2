"""What goes wrong behind the service reaches the caller as a clear problem, never as a success."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from service.engine.base import Delta, Message, Sampling
from service.engine.fake import FakeEngine, Script
from tests.conftest import Logged, Start
from tests.service.live_service import SENTENCES, TEXT
from tests.service.test_api_malformed import assert_problem

SECRET = "секрет-из-текста-ошибки"
BEFORE_A_TOKEN = [
    ("down", 503, "engine_down"),
    ("overloaded", 503, "engine_overloaded"),
    ("rejected", 502, "engine_rejected"),
    ("abort", 502, "engine_aborted"),
    ("drop", 503, "engine_down"),
]


class BrokenEngine(FakeEngine):
    """An engine with a bug: it raises what no engine should, after some deltas."""

    broken = False
    after = 0

    async def generate(
        self, messages: Sequence[Message], *, sampling: Sampling, request_id: str, priority: int = 0
    ) -> AsyncGenerator[Delta, None]:
        num = 0
        answer = super().generate(messages, sampling=sampling, request_id=request_id)
        async with aclosing(answer) as deltas:
            async for delta in deltas:
                if self.broken and num >= self.after:
                    raise RuntimeError(SECRET)
                num += 1
                yield delta


@pytest.mark.parametrize(("fault", "status", "code"), BEFORE_A_TOKEN)
async def test_an_engine_that_fails_at_once(start: Start, fault: Any, status: int, code: str) -> None:
    service = await start(Script(text=TEXT, fault=fault))
    answer = await service.describe()
    assert_problem(answer, status=status, code=code)
    assert answer.headers["X-Model-Version"] == "a"
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert service.idle
    await service.settled()
    assert await service.sample("llm_errors_total", path="/describe", code=code) == 1
    assert await service.sample("llm_requests_total", model_version="a", code=code) == 1


@pytest.mark.parametrize(("fault", "status", "code"), BEFORE_A_TOKEN)
async def test_an_engine_that_fails_at_once_in_a_stream(
    start: Start, fault: Any, status: int, code: str
) -> None:
    service = await start(Script(text=TEXT, fault=fault))
    events = await service.events()
    assert [event.name for event in events] == ["error"]
    assert (events[0].data["status"], events[0].data["code"]) == (status, code)
    assert service.idle
    await service.settled()
    assert await service.sample("llm_errors_total", path="/describe", code=code) == 1


@pytest.mark.parametrize(("fault", "code"), [("drop", "engine_down"), ("abort", "engine_aborted")])
async def test_an_engine_that_fails_in_mid_answer(start: Start, fault: Any, code: str) -> None:
    num_shown = len(f"{SENTENCES[0]} {SENTENCES[1]}".split()) + 1
    service = await start(Script(text=TEXT, fault=fault, fault_after=num_shown, token_s=0.002))
    answer = await service.describe()
    assert_problem(answer, status=answer.status, code=code)
    assert answer.status in (502, 503)
    events = await service.events()
    assert [event.name for event in events] == ["sentence", "sentence", "error"]
    assert [event.data["text"] for event in events[:2]] == list(SENTENCES[:2])
    assert events[2].data["code"] == code
    assert service.idle
    await service.settled()
    assert await service.sample("llm_requests_total", model_version="a", code=code) == 2


async def test_an_engine_killed_in_mid_stream_serves_again_when_it_is_back(start: Start) -> None:
    service = await start(Script(text=TEXT, token_s=0.02))
    async with service.streaming() as (_, events):
        assert (await anext(events)).name == "sentence"
        service.engine.go_down()
        rest = [event async for event in events]
    assert rest[-1].name == "error"
    assert (await service.describe()).status == 503
    service.engine.come_up()
    assert (await service.describe()).json["description"] == TEXT


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
async def test_the_engines_good_endings_are_successes(start: Start, finish_reason: str) -> None:
    service = await start(Script(text=TEXT, finish_reason=finish_reason))
    answer = await service.describe()
    assert (answer.status, answer.json["finish"]) == (200, finish_reason)


@pytest.mark.parametrize("after", [0, 9])
async def test_an_unknown_exception_is_500_without_its_text(start: Start, logged: Logged, after: int) -> None:
    engine = BrokenEngine()
    service = await start(Script(text=TEXT), engine=engine)
    engine.broken, engine.after = True, after
    answer = await service.describe()
    problem = assert_problem(answer, status=500, code="internal_error")
    events = await service.events()
    assert events[-1].name == "error"
    assert events[-1].data["code"] == "internal_error"
    assert events[-1].data.keys() == problem.keys()
    assert SECRET not in answer.body.decode() + str(events)
    assert service.idle
    await service.settled()
    assert await service.sample("llm_errors_total", code="internal_error") == 2
    errors = [line for line in logged() if line["level"] == "error"]
    assert [error["exception"]["type"] for error in errors] == ["RuntimeError"] * 2
    assert all(error["request_id"] for error in errors)
    assert SECRET not in str(logged())


async def test_the_service_outlives_an_unknown_exception(start: Start) -> None:
    engine = BrokenEngine()
    service = await start(engine=engine)
    engine.broken = True
    assert (await service.describe()).status == 500
    engine.broken = False
    assert (await service.describe()).status == 200


async def test_a_prompt_beyond_the_context_is_a_problem(start: Start) -> None:
    service = await start(engine=FakeEngine(context_length=10))
    assert_problem(await service.describe(), status=502, code="engine_rejected")
