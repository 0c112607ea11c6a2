"""What every engine owes its callers: the tests that the fake and a real vLLM both pass."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from service.engine.base import Delta, Engine, Message, Sampling
from service.errors import EngineDown, EngineRejected

LONG = r"(да ){400}"  # a regex that keeps any model talking for seconds
COLOURS = ("красный", "синий", "зелёный")
CAR_SCHEMA = {
    "type": "object",
    "properties": {
        "color": {"enum": list(COLOURS)},
        "doors": {"type": "integer", "minimum": 2, "maximum": 5},
    },
    "required": ["color", "doors"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Rig:
    """An engine under test with what the suite must see and do beside it."""

    engine: Engine
    num_running: Callable[[], Awaitable[int]]  # requests that hold a place in the engine now
    unreachable: Engine  # the same kind of engine with nothing behind it
    tells_load: bool = True


def script(messages: Sequence[Message]) -> str:
    """Answer as a model would that does what the suite asks; the last line of the prompt says what."""
    task = messages[-1]["content"].splitlines()[-1]
    if task == "JSON":
        return '{"color": "синий", "doors": 4}'
    if task == "LONG":
        return "да " * 400
    return "один два три четыре" if task == "COUNT" else "Продаётся велосипед в хорошем состоянии."


def prompt(task: str) -> list[Message]:
    return [{"role": "user", "content": f"Опиши товар для объявления.\n{task}"}]


async def collect(engine: Engine, task: str = "TEXT", *, sampling: Sampling) -> list[Delta]:
    async with aclosing(engine.generate(prompt(task), sampling=sampling, request_id="contract")) as answer:
        return [delta async for delta in answer]


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def load_becomes(rig: Rig, num: int, *, within_s: float = 2.0) -> bool:
    """Wait for the load to be told, a real server counts once a step; or for the word that it is not told."""
    expected = num if rig.tells_load else None
    deadline = time.monotonic() + within_s
    while await rig.engine.load() != expected:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def becomes_idle(rig: Rig, *, within_s: float = 2.0) -> bool:
    deadline = time.monotonic() + within_s
    while await rig.num_running():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


class EngineContract:
    """Inherit and give the fixtures `rig` and `engine`."""

    async def test_streams_text_and_ends_with_one_final_delta(self, engine: Engine) -> None:
        deltas = await collect(engine, "LONG", sampling=Sampling(max_tokens=12, regex=LONG))
        assert text_of(deltas).startswith("да да")
        assert len(deltas) > 1
        assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
        assert deltas[-1].finish_reason in ("stop", "length")
        usage = deltas[-1].usage
        assert usage is not None
        assert usage.prompt_tokens >= len(prompt("LONG")[0]["content"].split())
        assert 1 <= usage.completion_tokens <= 12

    async def test_max_tokens_ends_with_length(self, engine: Engine) -> None:
        last = (await collect(engine, "LONG", sampling=Sampling(max_tokens=5, regex=LONG)))[-1]
        assert last.finish_reason == "length"
        assert last.usage is not None
        assert last.usage.completion_tokens == 5

    async def test_stop_string_ends_the_answer_and_is_not_in_it(self, engine: Engine) -> None:
        sampling = Sampling(max_tokens=32, regex="один два три четыре", stop=("тр",))
        deltas = await collect(engine, "COUNT", sampling=sampling)
        assert text_of(deltas) == "один два "
        assert deltas[-1].finish_reason == "stop"

    async def test_greedy_answers_repeat(self, engine: Engine) -> None:
        answers = [text_of(await collect(engine, sampling=Sampling(max_tokens=12))) for _ in range(2)]
        assert answers[0] == answers[1] != ""

    async def test_a_seed_makes_drawn_answers_repeat(self, engine: Engine) -> None:
        sampling = Sampling(max_tokens=12, temperature=1.0, seed=7)
        answers = [text_of(await collect(engine, sampling=sampling)) for _ in range(2)]
        assert answers[0] == answers[1]

    @pytest.mark.parametrize("alternatives", [0, 3])
    async def test_one_logprob_for_each_token(self, engine: Engine, alternatives: int) -> None:
        deltas = await collect(engine, sampling=Sampling(max_tokens=8, logprobs=alternatives))
        logprobs = [item for delta in deltas for item in delta.logprobs]
        assert deltas[-1].usage is not None
        assert len(logprobs) == deltas[-1].usage.completion_tokens > 0
        assert all(item.logprob <= 0 for item in logprobs)

    async def test_no_logprobs_unless_asked(self, engine: Engine) -> None:
        assert not any(delta.logprobs for delta in await collect(engine, sampling=Sampling(max_tokens=4)))

    async def test_json_fits_its_schema(self, engine: Engine) -> None:
        deltas = await collect(engine, "JSON", sampling=Sampling(max_tokens=200, json_schema=CAR_SCHEMA))
        assert deltas[-1].finish_reason == "stop"
        car = json.loads(text_of(deltas))
        assert car.keys() == {"color", "doors"}
        assert car["color"] in COLOURS
        assert type(car["doors"]) is int
        assert 2 <= car["doors"] <= 5

    async def test_choice_is_one_of_the_given(self, engine: Engine) -> None:
        assert text_of(await collect(engine, sampling=Sampling(max_tokens=16, choice=COLOURS))) in COLOURS

    async def test_regex_is_matched(self, engine: Engine) -> None:
        regex = "один( [а-я]{3,6}){2,3}"
        deltas = await collect(engine, "COUNT", sampling=Sampling(max_tokens=64, regex=regex))
        assert re.fullmatch(regex, text_of(deltas))

    async def test_closing_early_frees_the_place(self, rig: Rig) -> None:
        sampling = Sampling(max_tokens=400, regex=LONG)
        answer = rig.engine.generate(prompt("LONG"), sampling=sampling, request_id="closed")
        async with aclosing(answer):
            await anext(answer)
            assert await rig.num_running() == 1
        assert await becomes_idle(rig)

    async def test_the_load_counts_everybodys_requests(self, rig: Rig) -> None:
        answer = rig.engine.generate(
            prompt("LONG"), sampling=Sampling(max_tokens=400, regex=LONG), request_id="x"
        )
        async with aclosing(answer):
            await anext(answer)
            assert await load_becomes(rig, 1)
        assert await load_becomes(rig, 0)

    async def test_a_timeout_frees_the_place(self, rig: Rig) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await collect(rig.engine, "LONG", sampling=Sampling(max_tokens=400, regex=LONG))
        assert await becomes_idle(rig)

    async def test_sixteen_at_once_all_finish(self, rig: Rig) -> None:
        sampling = Sampling(max_tokens=8)
        answers = await asyncio.gather(*(collect(rig.engine, sampling=sampling) for _ in range(16)))
        assert all(deltas[-1].finish_reason in ("stop", "length") for deltas in answers)
        assert await becomes_idle(rig)

    @pytest.mark.parametrize(
        "sampling",
        [
            Sampling(max_tokens=4, temperature=9.0),
            Sampling(max_tokens=4, top_p=0.0),
            Sampling(max_tokens=0),
            Sampling(max_tokens=4, logprobs=10_000),
            Sampling(max_tokens=4, regex="(да"),
        ],
        ids=["temperature", "top_p", "max_tokens", "logprobs", "regex"],
    )
    async def test_bad_parameters_are_rejected(self, engine: Engine, sampling: Sampling) -> None:
        with pytest.raises(EngineRejected) as caught:
            await collect(engine, sampling=sampling)
        assert not caught.value.started
        assert "товар" not in str(caught.value)

    async def test_a_prompt_beyond_the_context_is_rejected(self, engine: Engine) -> None:
        messages: list[Message] = [{"role": "user", "content": "очень " * 100_000}]
        with pytest.raises(EngineRejected) as caught:
            await anext(engine.generate(messages, sampling=Sampling(max_tokens=4), request_id="long"))
        assert "очень" not in str(caught.value)

    async def test_health_passes_and_leaves_nothing_running(self, rig: Rig) -> None:
        await rig.engine.health()
        assert await becomes_idle(rig)

    async def test_a_closed_engine_is_down(self, engine: Engine) -> None:
        await engine.close()
        with pytest.raises(EngineDown):
            await collect(engine, sampling=Sampling(max_tokens=4))

    async def test_an_engine_that_is_gone_is_down(self, rig: Rig) -> None:
        with pytest.raises(EngineDown) as caught:
            await collect(rig.unreachable, sampling=Sampling(max_tokens=4))
        assert not caught.value.started
        with pytest.raises(EngineDown):
            await rig.unreachable.health()
