"""The fake engine keeps its script: pace, faults, places and counters."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from service.engine.base import Delta, Message, Sampling
from service.engine.fake import FakeEngine, Script
from service.errors import EngineAborted, EngineDown, EngineError, EngineOverloaded, EngineRejected

MESSAGES: list[Message] = [{"role": "user", "content": "опиши велосипед"}]
TEN = "а б в г д е ж з и к"


async def collect(engine: FakeEngine, *, max_tokens: int = 100, stop: tuple[str, ...] = ()) -> list[Delta]:
    sampling = Sampling(max_tokens=max_tokens, stop=stop)
    async with aclosing(engine.generate(MESSAGES, sampling=sampling, request_id="r")) as answer:
        return [delta async for delta in answer]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def outcomes(engine: FakeEngine) -> tuple[int, int, int, int, int]:
    return engine.started, engine.finished, engine.failed, engine.cancelled, engine.in_flight


async def test_the_text_may_depend_on_the_prompt() -> None:
    engine = FakeEngine(Script(text=lambda messages: messages[-1]["content"].upper()))
    assert text_of(await collect(engine)) == "ОПИШИ ВЕЛОСИПЕД"


async def test_an_empty_text_is_one_final_delta() -> None:
    deltas = await collect(FakeEngine(Script(text="")))
    assert [(delta.text, delta.finish_reason) for delta in deltas] == [("", "stop")]


async def test_each_token_comes_when_it_is_due() -> None:
    engine = FakeEngine(Script(text=TEN, first_token_s=0.1, token_s=0.02))
    begin = time.monotonic()
    arrivals = []
    async for _ in engine.generate(MESSAGES, sampling=Sampling(max_tokens=100), request_id="r"):
        arrivals.append(time.monotonic() - begin)  # noqa: PERF401
    assert 0.1 <= arrivals[0] < 0.15
    assert 0.28 <= arrivals[-1] < 0.34


async def test_a_late_reader_is_caught_up_with() -> None:
    engine = FakeEngine(Script(text=TEN, token_s=0.02))
    begin = time.monotonic()
    deltas = []
    async for delta in engine.generate(MESSAGES, sampling=Sampling(max_tokens=100), request_id="r"):
        deltas.append(delta)
        await asyncio.sleep(0.07)
    assert text_of(deltas) == TEN
    assert len(deltas) < 6
    assert time.monotonic() - begin < 0.4


async def test_the_rate_holds_for_many_at_once() -> None:
    engine = FakeEngine(Script(text="да " * 100, token_s=0.005))
    begin = time.monotonic()
    await asyncio.gather(*(collect(engine) for _ in range(200)))
    assert time.monotonic() - begin < 1.0


@pytest.mark.parametrize(("stop", "text"), [(("д",), "а б в г "), (("г д", "и"), "а б в "), (("щ",), TEN)])
async def test_stop_strings_cut_the_text(stop: tuple[str, ...], text: str) -> None:
    deltas = await collect(FakeEngine(Script(text=TEN)), stop=stop)
    assert text_of(deltas) == text
    assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("fault", "error", "started"),
    [
        ("rejected", EngineRejected, False),
        ("overloaded", EngineOverloaded, False),
        ("down", EngineDown, False),
        ("drop", EngineDown, False),
        ("abort", EngineAborted, True),
    ],
)
async def test_faults_without_a_token(fault: str, error: type[EngineError], started: bool) -> None:
    engine = FakeEngine(Script(text=TEN, fault=fault))  # type: ignore[arg-type]
    with pytest.raises(error) as caught:
        await collect(engine)
    assert caught.value.started is started
    assert engine.in_flight == 0


@pytest.mark.parametrize(("fault", "error"), [("drop", EngineDown), ("abort", EngineAborted)])
@pytest.mark.parametrize("after", [3, 99])
async def test_faults_under_way_come_before_the_end(fault: str, error: type[EngineError], after: int) -> None:
    engine = FakeEngine(Script(text=TEN, fault=fault, fault_after=after))  # type: ignore[arg-type]
    got = []
    with pytest.raises(error) as caught:
        async for delta in engine.generate(MESSAGES, sampling=Sampling(max_tokens=100), request_id="r"):
            got.append(delta)  # noqa: PERF401
    assert len(got) == min(after, 9)
    assert all(delta.finish_reason is None for delta in got)
    assert caught.value.started
    assert outcomes(engine) == (1, 0, 1, 0, 0)


async def test_a_hanging_answer_frees_its_place_when_cancelled() -> None:
    engine = FakeEngine(Script(text=TEN, fault="hang", fault_after=2))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await collect(engine)
    assert outcomes(engine) == (1, 0, 0, 1, 0)


async def test_going_down_breaks_what_runs_until_it_comes_up() -> None:
    engine = FakeEngine(Script(text=TEN, token_s=0.01))
    running = asyncio.create_task(collect(engine))
    await asyncio.sleep(0.03)
    engine.go_down()
    with pytest.raises(EngineDown) as caught:
        await running
    assert caught.value.started
    with pytest.raises(EngineDown):
        await engine.health()
    engine.come_up()
    await engine.health()
    assert text_of(await collect(engine)) == TEN


async def test_down_for_a_time_ends_by_itself() -> None:
    engine = FakeEngine()
    engine.go_down(for_s=0.05)
    with pytest.raises(EngineDown):
        await engine.health()
    await asyncio.sleep(0.06)
    await engine.health()


async def test_requests_beyond_the_slots_wait_in_order() -> None:
    engine = FakeEngine(Script(text=TEN, token_s=0.005), slots=2)
    begin = time.monotonic()
    await asyncio.gather(*(collect(engine) for _ in range(6)))
    assert 0.135 <= time.monotonic() - begin < 0.3
    assert outcomes(engine) == (6, 6, 0, 0, 0)


async def test_a_full_queue_overloads() -> None:
    engine = FakeEngine(Script(text=TEN, token_s=0.01), slots=1, max_requests=2)
    admitted = [asyncio.create_task(collect(engine)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(EngineOverloaded):
        await collect(engine)
    await asyncio.gather(*admitted)
    assert text_of(await collect(engine)) == TEN


async def test_leaving_at_the_last_delta_counts_as_finished() -> None:
    engine = FakeEngine(Script(text="да"))
    async with aclosing(engine.generate(MESSAGES, sampling=Sampling(max_tokens=9), request_id="r")) as answer:
        assert (await anext(answer)).finish_reason == "stop"
    assert outcomes(engine) == (1, 1, 0, 0, 0)


async def test_prompts_are_kept_only_when_asked() -> None:
    silent, keeping = FakeEngine(), FakeEngine(keep_prompts=True)
    await collect(silent)
    await collect(keeping)
    assert (silent.prompts, keeping.prompts) == ([], [MESSAGES])


async def test_an_address_sets_text_and_pace() -> None:
    engine = FakeEngine.from_url("fake://?text=Два%20слова&first_token_ms=30&token_ms=20&slots=1")
    begin = time.monotonic()
    assert text_of(await collect(engine)) == "Два слова"
    assert 0.05 <= time.monotonic() - begin < 0.1


async def test_a_bare_address_answers_russian_text() -> None:
    assert "велосипед" in text_of(await collect(FakeEngine.from_url("fake://")))


@pytest.mark.parametrize("url", ["http://x", "fake://?speed=3", "fake://?token_ms=fast", "fake://?text"])
def test_a_wrong_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        FakeEngine.from_url(url)
