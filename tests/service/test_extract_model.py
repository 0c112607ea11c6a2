"""/extract-model over a scripted engine: what is chosen is verified and has a place, or a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import ValidationError

from models.calibration import Calibration, Curve
from models.card import load_card
from service.answers import Answers
from service.call import Done
from service.engine.base import Message
from service.engine.fake import FakeEngine, Script
from service.errors import EngineAborted
from service.runner import Runner
from service.settings import Settings
from service.shapes.extract_model import ExtractModelRequest
from service.tasks.base import Answer, Token
from service.tasks.candidates import candidates
from service.tasks.extract_model import EXTRACT_MODEL, chosen_of, probability_of, schema
from service.telemetry import Metrics
from tests.service.live_service import versions

LISTING = {
    "title": "Смартфон Apple iPhone 13 Pro 256GB, отличный",
    "category": "Телефоны",
    "description": "Продаю iPhone 13 Pro в отличном состоянии.",
}


def build(text: str | Callable[[Sequence[Message]], str]) -> tuple[Runner, FakeEngine]:
    engine = FakeEngine(Script(text=text), keep_prompts=True)
    made = versions({"a": engine}, Settings())
    made["a"].card = load_card("gemma3-270m").model_copy(update={"calibration": {}})
    return Runner(made, default="a", metrics=Metrics(), answers=Answers()), engine


async def extract(runner: Runner, **fields: Any) -> dict[str, Any]:
    request = ExtractModelRequest(**fields)
    call = runner.call(EXTRACT_MODEL, request, request_id="r", pinned=None, deadline_s=5.0)
    async with runner.admitted(call), aclosing(runner.run(call)) as items:
        (done,) = [item async for item in items]
    assert isinstance(done, Done)
    answer: dict[str, Any] = done.response.model_dump(mode="json")
    return answer


def chosen(brand: str | None, *models: str) -> str:
    return json.dumps({"brand": brand, "models": models}, ensure_ascii=False, separators=(",", ":"))


async def test_a_chosen_model_comes_with_brand_key_and_place() -> None:
    runner, _ = build(chosen("Apple", "iPhone 13 Pro"))
    answer = await extract(runner, **LISTING)
    assert (answer["model"], answer["brand"], answer["reason"]) == ("iPhone 13 Pro", "Apple", None)
    assert answer["model_key"] == "apple iphone 13 pro"
    for evidence in answer["evidence"]:
        assert LISTING[evidence["field"]][evidence["start"] : evidence["end"]] == evidence["text"]
    assert [evidence["field"] for evidence in answer["evidence"]] == ["title", "description"]
    assert answer["normalizer_version"]
    assert 0 < answer["confidence"] <= 1


async def test_offsets_are_code_points_of_the_text_as_sent() -> None:
    runner, _ = build(chosen(None, "Мальта"))
    title = "😀👨‍👩‍👧\u200b Комод «Мальта»\u202e белый"
    (evidence,) = (await extract(runner, title=title))["evidence"]
    assert title[evidence["start"] : evidence["end"]] == "Мальта"


async def test_evidence_in_a_parameter_names_it() -> None:
    runner, _ = build(chosen("Honor", "X9b"))
    answer = await extract(runner, title="Телефон", params={"Марка": "Honor", "Модель": "X9b"})
    assert answer["evidence"] == [{"field": "params", "param": "Модель", "start": 0, "end": 3, "text": "X9b"}]


@pytest.mark.parametrize("models", [("iPhone 14 Pro",), ("Galaxy S22",), ("",)])
async def test_a_model_that_is_not_in_the_text_is_never_returned(models: tuple[str, ...]) -> None:
    runner, _ = build(chosen("Apple", *models))
    answer = await extract(runner, **LISTING)
    assert (answer["model"], answer["model_key"], answer["evidence"]) == (None, None, [])
    assert answer["reason"] == "not_stated"


async def test_a_listing_that_names_nothing_costs_no_question() -> None:
    runner, engine = build("never asked")
    answer = await extract(runner, title="Платье летнее, размер 44", description="Новое, с биркой")
    assert (answer["model"], answer["reason"], engine.started) == (None, "not_stated", 0)
    assert answer["usage"] == {"prompt_tokens": 0, "completion_tokens": 0}


@pytest.mark.parametrize("title", ["", " ", "😀😀😀", "\0", "ok\0", "\u202eabc", "שלום", "…", "а" * 500])
async def test_odd_titles_get_a_clear_answer(title: str) -> None:
    runner, _ = build(chosen(None))
    answer = await extract(runner, title=title)
    assert (answer["model"], answer["reason"]) == (None, "not_stated")


async def test_two_products_are_no_model() -> None:
    runner, _ = build(chosen(None, "PlayStation 4 Slim", "Xbox One S 1"))
    answer = await extract(runner, title="Продам PlayStation 4 Slim и Xbox One S 1")
    assert (answer["model"], answer["reason"]) == (None, "several_products")


async def test_a_seller_who_does_not_know_is_ambiguous() -> None:
    runner, _ = build(chosen("Samsung", "A51", "A52"))
    answer = await extract(runner, title="Samsung A51 или A52, не помню")
    assert (answer["model"], answer["reason"]) == (None, "ambiguous")


async def test_a_second_choice_of_the_same_product_changes_nothing() -> None:
    runner, _ = build(chosen("Garmin", "Fenix 8", "Fenix 8"))
    assert (await extract(runner, title="Часы Garmin Fenix 8 43мм"))["model"] == "Fenix 8"


@pytest.mark.parametrize(
    ("title", "brand", "chosen_model", "told_brand", "told_model"),
    [
        ("Apple iPhone 13 Pro", "Apple", "Apple iPhone 13 Pro", "Apple", "iPhone 13 Pro"),
        ("iPhone 13 Pro", None, "iPhone 13 Pro", "Apple", "iPhone 13 Pro"),
        ("Elna 3210", "Elna 3210", "3210", "Elna", "3210"),
        ("Silver Reed SK 840", "Silver Reed", "Silver Reed SK 840", "Silver Reed", "SK 840"),
        ("Robotime Vega 5", "Robotime", "Robotime Vega 5", "Robotime", "Vega 5"),
    ],
)
async def test_brand_and_model_do_not_overlap(
    title: str, brand: str | None, chosen_model: str, told_brand: str, told_model: str
) -> None:
    runner, _ = build(chosen(brand, chosen_model))
    answer = await extract(runner, title=title)
    assert (answer["brand"], answer["model"]) == (told_brand, told_model)


async def test_a_cut_of_a_garment_is_no_model() -> None:
    runner, _ = build(chosen("Nike", "Nike Plus"))
    answer = await extract(runner, title="Футболка Nike Plus", category="Одежда")
    assert (answer["model"], answer["reason"]) == (None, "not_stated")


async def test_a_brand_alone_is_no_model() -> None:
    runner, _ = build(chosen("Adidas", "Adidas"))
    answer = await extract(runner, title="Кроссовки Adidas мужские")
    assert (answer["brand"], answer["model"], answer["reason"]) == ("Adidas", None, "not_stated")


async def test_the_same_listing_is_asked_once() -> None:
    runner, engine = build(chosen("Apple", "iPhone 13 Pro"))
    first, second = [await extract(runner, **LISTING) for _ in range(2)]
    assert engine.started == 1
    for field in ("model", "brand", "model_key", "confidence", "evidence", "reason"):
        assert first[field] == second[field]


async def test_another_listing_or_another_card_is_asked_anew() -> None:
    runner, engine = build(chosen("Apple", "iPhone 13 Pro"))
    await extract(runner, **LISTING)
    await extract(runner, **{**LISTING, "title": "Смартфон Apple iPhone 13 Pro 256GB"})
    card = runner.versions["a"].card
    runner.versions["a"].card = card.model_copy(update={"tokenizer_sha256": "0" * 64})
    await extract(runner, **LISTING)
    assert engine.started == 3


async def test_an_answer_out_of_the_schema_is_502_and_not_remembered() -> None:
    runner, engine = build("{]")
    for _ in range(2):
        with pytest.raises(EngineAborted):
            await extract(runner, **LISTING)
    assert engine.started == 2


def test_the_schema_offers_only_what_stands_in_the_listing() -> None:
    offered = schema(candidates(title="Apple iPhone 13 Pro", params={}, description=""))
    properties = offered["properties"]
    assert all(name in "Apple iPhone 13 Pro" for name in properties["models"]["items"]["enum"])
    assert properties["brand"]["enum"] == [None, "Apple"]


def test_an_answer_that_was_cut_keeps_what_is_complete() -> None:
    cut = Answer(text='{"brand":"Apple","models":["iPhone 13 Pro","iPho', finish="length")
    assert chosen_of(cut).models == ["iPhone 13 Pro"]
    assert chosen_of(Answer(text='{"brand":null,"models":["iPh', finish="length")).models == []


def test_the_raw_confidence_is_the_probability_of_the_first_model() -> None:
    pieces = [
        ('{"brand":', -3.0),
        ("null", -3.0),
        (',"models":', 0.0),
        ('["', -0.1),
        ("X9", -0.2),
        ('b"', -0.3),
    ]
    tokens = tuple(Token(text=text, logprob=logprob) for text, logprob in [*pieces, (',"Y"]}', -5.0)])
    drawn = Answer(text="".join(token.text for token in tokens), finish="stop", tokens=tokens)
    assert probability_of(drawn) == pytest.approx(2.718281828**-0.2)


async def test_the_cards_calibration_says_what_the_probability_is_worth() -> None:
    runner, _ = build(chosen("Apple", "iPhone 13 Pro"))
    curve = Curve(points=((0.0, 0.25), (1.0, 0.25)), n=10)
    calibration = Calibration(found=curve, none=curve, normalizer_version="1", data="d", command="c")
    card = runner.versions["a"].card
    runner.versions["a"].card = card.model_copy(update={"calibration": {"extract_model": calibration}})
    assert (await extract(runner, **LISTING))["confidence"] == 0.25


@pytest.mark.parametrize(
    "fields",
    [{"title": 5}, {"title": "x" * 501}, {"description": "x" * 20_001}, {"params": {"a": 1}}, {"price": 5}],
)
def test_a_malformed_listing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExtractModelRequest(**fields)
