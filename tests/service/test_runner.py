"""The runner assigns, warms up, probes and draws again; what leaves it is checked text and one Done."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from models.card import Card, load_card
from service.asking import sampling_of
from service.call import Done, Sentence
from service.engine.base import Sampling
from service.engine.fake import FakeEngine, Script
from service.errors import DeadlineExceeded, Draining, ServiceError, UnknownModelVersion
from service.runner import Runner
from service.settings import Settings
from service.shapes.describe import DescribeRequest
from service.tasks import TASKS
from service.tasks.base import Prompt
from service.tasks.describe import DESCRIBE
from service.telemetry import Metrics
from tests.service.live_service import CARD, LISTING, SENTENCES, SILENT, TEXT, versions


def build(script: Script | None = None, **settings: Any) -> tuple[Runner, FakeEngine]:
    engine = FakeEngine(script or Script(text=TEXT), keep_prompts=True)
    made = versions({"a": engine, "b": FakeEngine()}, Settings(**settings))
    return Runner(made, default="a", metrics=Metrics()), engine


async def run(runner: Runner, *, deadline_s: float = 5.0, pinned: str | None = None) -> list[Sentence | Done]:
    request = DescribeRequest(**LISTING)
    call = runner.call(DESCRIBE, request, request_id="r", pinned=pinned, deadline_s=deadline_s)
    async with runner.admitted(call), aclosing(runner.run(call)) as items:
        return [item async for item in items]


def test_the_default_serves_unless_a_version_is_pinned() -> None:
    runner, _ = build()
    assert runner.assign(None).name == runner.assign("a").name == "a"
    assert runner.assign("b").name == "b"


@pytest.mark.parametrize("pinned", ["c", "A", " a"])
def test_a_version_that_is_not_live_is_unknown(pinned: str) -> None:
    with pytest.raises(UnknownModelVersion, match="a, b"):
        build()[0].assign(pinned)


async def test_a_run_is_sentences_then_one_done() -> None:
    runner, engine = build()
    items = await run(runner)
    assert [item.text for item in items[:-1] if isinstance(item, Sentence)] == list(SENTENCES)
    assert isinstance(items[-1], Done)
    assert items[-1].response.description == TEXT
    assert engine.in_flight == 0


def card_with(**changes: Any) -> Card:
    card = load_card(CARD)
    settings = card.tasks["describe"].model_copy(update=changes)
    return card.model_copy(update={"tasks": {"describe": settings}})


def drawn(card: Card, **options: Any) -> Sampling:
    return sampling_of(card, Prompt(section="describe", fields={}, **options))


def test_the_engine_sees_the_cards_sampling() -> None:
    card = load_card(CARD)
    sampling = drawn(card)
    for name in ("max_tokens", "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty"):
        assert getattr(sampling, name) == getattr(card.tasks["describe"], name)


def test_a_prompt_narrows_the_cards_tokens_and_never_widens_them() -> None:
    card = card_with(max_tokens=100)
    assert drawn(card, max_tokens=50).max_tokens == 50
    assert drawn(card, max_tokens=500).max_tokens == 100


def test_a_second_attempt_draws_more_freely() -> None:
    assert drawn(card_with(temperature=0.0), attempt=1).temperature > 0.5
    assert drawn(card_with(temperature=1.3), attempt=1).temperature == 1.3


async def test_an_answer_that_stays_unusable_is_drawn_as_often_as_the_card_allows() -> None:
    runner, engine = build(Script(text="Звоните 8 912 345-67-89."))
    items = await run(runner)
    assert isinstance(items[-1], Done)
    assert items[-1].response.finish == "fallback"
    assert engine.started == load_card(CARD).tasks["describe"].attempts


async def test_the_deadline_holds_over_all_attempts() -> None:
    runner, engine = build(Script(text="Звоните 8 912 345-67-89.", first_token_s=0.15))
    with pytest.raises(DeadlineExceeded):
        await run(runner, deadline_s=0.2)
    assert (engine.started, engine.in_flight) == (2, 0)


async def test_a_drain_ends_what_outlasts_the_grace_and_spares_the_rest() -> None:
    runner, engine = build(SILENT)
    slow = asyncio.create_task(run(runner))
    await asyncio.sleep(0.02)
    engine.script = Script(text=TEXT, first_token_s=0.03)
    quick = asyncio.create_task(run(runner))
    await asyncio.sleep(0.01)
    runner.drain(0.1)
    assert isinstance((await quick)[-1], Done)
    with pytest.raises(Draining):
        await slow
    assert engine.in_flight == 0


async def test_an_earlier_deadline_is_told_as_such_in_a_drain_too() -> None:
    runner, _ = build(SILENT)
    task = asyncio.create_task(run(runner, deadline_s=0.05))
    await asyncio.sleep(0.01)
    runner.drain(5.0)
    with pytest.raises(DeadlineExceeded):
        await task


async def test_what_arrives_during_a_drain_has_what_is_left_of_the_grace() -> None:
    runner, _ = build(SILENT)
    runner.drain(0.05)
    with pytest.raises(Draining):
        await run(runner)


async def test_a_drain_reaches_who_waits_in_the_queue() -> None:
    runner, _ = build(SILENT, max_in_flight=1, max_queue=1)
    tasks = [asyncio.create_task(run(runner)) for _ in range(2)]
    await asyncio.sleep(0.01)
    gate = runner.versions["a"].gate
    assert (gate.in_flight, gate.queued) == (1, 1)
    runner.drain(0.05)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Draining, Draining]
    assert (gate.in_flight, gate.queued) == (0, 0)


async def test_the_warm_up_answers_every_tasks_example_by_every_version() -> None:
    runner, engine = build()
    await runner.warm_up(TASKS)
    assert len(engine.prompts) >= len(TASKS)
    assert DESCRIBE.example.title in engine.prompts[0][-1]["content"]


async def test_a_warm_up_that_fails_keeps_nobody_from_serving() -> None:
    runner, engine = build(Script(fault="down"))
    await runner.warm_up(TASKS)
    engine.script = Script(text=TEXT)
    assert isinstance((await run(runner))[-1], Done)


async def test_a_probe_notes_when_the_engine_answered() -> None:
    runner, engine = build()
    version = runner.versions["a"]
    assert version.canary_at is None
    assert await runner.probe(version)
    answered = version.canary_at
    assert answered is not None
    engine.go_down()
    assert not await runner.probe(version)
    assert version.canary_at == answered


async def test_leaving_a_run_early_frees_the_engine() -> None:
    runner, engine = build(Script(text=TEXT, token_s=0.01))
    request = DescribeRequest(**LISTING)
    call = runner.call(DESCRIBE, request, request_id="r", pinned=None, deadline_s=5.0)
    async with runner.admitted(call), aclosing(runner.run(call)) as items:
        assert isinstance(await anext(items), Sentence)
        assert engine.in_flight == 1
    assert engine.in_flight == 0
    assert engine.cancelled == 1
    assert runner.versions["a"].gate.in_flight == 0


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    def leaves(kind: type[ServiceError]) -> list[type[ServiceError]]:
        below = kind.__subclasses__()
        return [leaf for sub in below for leaf in leaves(sub)] if below else [kind]

    codes = [kind.code for kind in leaves(ServiceError)]
    assert len(set(codes)) == len(codes) >= 8
    assert {kind.status for kind in leaves(ServiceError)} <= {404, 413, 422, 429, 502, 503, 504}
