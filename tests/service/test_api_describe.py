"""POST /describe answers as the contract says, whole and streamed."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from models.card import load_card
from service.engine.fake import FakeEngine, Script
from tests.conftest import Start
from tests.service.live_service import CARD, ENDLESS, LISTING, SENTENCES, TEXT, Event, LiveService, becomes

FIELDS = {
    "id",
    "description",
    "captions",
    "skipped_photos",
    "used_facts",
    "removed_claims",
    "finish",
    "model_version",
    "experiment",
    "usage",
    "timings_ms",
}
PHONE = "Звоните 8 912 345-67-89."


def sentences(events: list[Event]) -> list[str]:
    return [event.data["text"] for event in events if event.name == "sentence"]


async def both(service: LiveService, **fields: Any) -> tuple[dict[str, Any], list[Event]]:
    """Ask the same twice, whole and streamed; the answers agree in all that does not name the run."""
    whole = (await service.describe(**fields)).json
    events = await service.events(**fields)
    done = events[-1].data
    own = {"id", "timings_ms"}
    assert {k: v for k, v in whole.items() if k not in own} == {k: v for k, v in done.items() if k not in own}
    return whole, events


async def test_the_response_has_the_contracts_fields(service: LiveService) -> None:
    answer = await service.describe()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json
    assert body.keys() == FIELDS
    assert re.fullmatch(r"[0-9a-f]{32}", body["id"])
    assert body["description"] == TEXT
    assert (body["captions"], body["skipped_photos"], body["removed_claims"]) == ([], [], [])
    assert (body["finish"], body["model_version"], body["experiment"]) == ("stop", "a", None)


async def test_usage_is_the_engines_count(start: Start) -> None:
    service = await start()
    usage = (await service.describe()).json["usage"]
    prompt = "".join(message["content"] for message in service.engine.prompts[-1])
    assert usage["completion_tokens"] == len(TEXT.split())
    assert usage["prompt_tokens"] >= len(prompt.split())


async def test_timings_are_in_milliseconds_and_add_up(start: Start) -> None:
    service = await start(Script(text=TEXT, first_token_s=0.05, token_s=0.005))
    answer = await service.describe()
    timings = answer.json["timings_ms"]
    assert timings.keys() == {"queue", "first_sentence", "engine", "total"}
    assert 50 <= timings["first_sentence"] <= timings["total"] <= 1000 * answer.seconds
    assert 100 <= timings["engine"] <= timings["total"]
    assert 0 <= timings["queue"] < 50


async def test_every_answer_has_an_id_of_its_own(service: LiveService) -> None:
    assert (await service.describe()).json["id"] != (await service.describe()).json["id"]


async def test_headers_tell_the_version_and_give_the_request_id_back(service: LiveService) -> None:
    answer = await service.describe(headers={"X-Request-Id": "front-7:a.b_c"})
    assert answer.headers["X-Request-Id"] == "front-7:a.b_c"
    assert answer.headers["X-Model-Version"] == "a"
    async with service.streaming(headers={"X-Request-Id": "front-8"}) as (response, _):
        assert response.headers["X-Request-Id"] == "front-8"
        assert response.headers["X-Model-Version"] == "a"
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "forged", ["", "a b", 'x","level":"error', "ключ".encode().decode("latin-1"), "x" * 129]
)
async def test_a_request_id_that_could_forge_log_lines_is_replaced(service: LiveService, forged: str) -> None:
    given = (await service.describe(headers={"X-Request-Id": forged})).headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{32}", given)


async def test_the_stream_is_sentences_then_done(service: LiveService) -> None:
    events = await service.events()
    assert [event.name for event in events] == ["sentence"] * 3 + ["done"]
    assert sentences(events) == list(SENTENCES)
    assert events[-1].data.keys() == FIELDS
    assert events[-1].data["description"] == TEXT


async def test_the_accept_header_asks_for_a_stream_too(service: LiveService) -> None:
    events = await service.events(stream=False, headers={"Accept": "text/event-stream"})
    assert events[-1].name == "done"


async def test_a_sentence_leaves_before_the_answer_is_over(start: Start) -> None:
    service = await start(ENDLESS)
    async with service.streaming() as (_, events):
        assert (await anext(events)).data == {"text": SENTENCES[0]}
        assert service.engine.in_flight == 1


async def test_whole_and_streamed_say_the_same(start: Start) -> None:
    service = await start(Script(text=f"{TEXT} {PHONE} Пробег 9000 км."))
    whole, events = await both(service)
    assert whole["description"] == " ".join(sentences(events)) == TEXT
    assert whole["removed_claims"] == [
        {"text": PHONE, "reason": "contact_phone"},
        {"text": "Пробег 9000 км.", "reason": "ungrounded_number"},
    ]


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        (PHONE, "contact_phone"),
        ("Пишите на seller@mail.ru.", "contact_email"),
        ("Подробности на www.stels.ru.", "contact_link"),
        ("Пишите в Telegram.", "contact_messenger"),
        ("Как языковая модель, я не могу помочь.", "refusal"),
        ("Параметры: цвет.", "prompt_leftover"),
        ("Рама Shimano.", "ungrounded_word"),
        ("Колёса 29 дюймов.", "ungrounded_number"),
        (SENTENCES[1], "repetition"),
    ],
)
async def test_what_the_guards_hold_back_is_told_with_its_reason(
    start: Start, sentence: str, reason: str
) -> None:
    service = await start(Script(text=f"{TEXT} {sentence}"))
    body, events = await both(service)
    assert body["removed_claims"] == [{"text": sentence, "reason": reason}]
    assert " ".join(sentences(events)) == body["description"] == TEXT
    await service.settled()
    assert await service.sample("llm_guard_drops_total", reason=reason) == 2


async def test_used_facts_are_those_of_the_input_that_stand_in_the_text(start: Start) -> None:
    service = await start(Script(text="В продаже велосипед Forward Apache. Цвет — красный."))
    used = (await service.describe(tone="concise")).json["used_facts"]
    assert any("Forward" in fact for fact in used)
    assert any("Красный" in fact for fact in used)
    assert not any("12 600" in fact or "Горный" in fact for fact in used)


async def test_parameters_that_the_model_left_out_are_told_at_the_end_unless_it_is_to_be_brief(
    start: Start,
) -> None:
    service = await start(Script(text="В продаже велосипед Forward Apache. Цвет — красный."))
    body, events = await both(service)
    assert body["description"] == " ".join(sentences(events))
    assert body["description"].endswith("Цвет — красный. Вид — горный.")
    assert any("Горный" in fact for fact in body["used_facts"])
    assert "Горный" not in (await service.describe(tone="concise")).json["description"].title()


async def test_max_chars_ends_the_text_at_a_sentence_and_frees_the_engine(start: Start) -> None:
    fitting = "В продаже горный велосипед Forward Apache. Цвет — красный, цена — 12 600 ₽, вид — горный."
    beyond = "Красный горный велосипед."
    max_chars = len(fitting) + len(beyond)  # the space between them is one too many
    service = await start(Script(text=f"{fitting} {beyond}" + " Ещё" * 5000, token_s=0.002))
    for answer in (
        (await service.describe(max_chars=max_chars)).json,
        (await service.events(max_chars=max_chars))[-1].data,
    ):
        assert answer["description"] == fitting
        assert answer["finish"] == "length"
    await becomes(lambda: service.idle, within_s=0.2)
    assert service.engine.cancelled == 2


async def test_a_text_cut_by_the_token_limit_ends_with_its_last_whole_sentence(start: Start) -> None:
    service = await start(Script(text=f"{TEXT} Велосипед в хорошем", finish_reason="length"))
    body, events = await both(service)
    assert body["description"] == " ".join(sentences(events)) == TEXT
    assert body["finish"] == "length"
    assert body["removed_claims"] == [{"text": "Велосипед в хорошем", "reason": "unfinished"}]


@pytest.mark.parametrize("text", ["", "   ", PHONE, "Как языковая модель, я не могу помочь."])
async def test_when_nothing_passes_the_template_serves_and_says_so(start: Start, text: str) -> None:
    service = await start(Script(text=text))
    body, events = await both(service)
    assert body["finish"] == "fallback"
    assert body["description"].startswith("Велосипед Forward Apache.")
    assert "12 600 ₽" in body["description"]
    assert "Красный" in body["description"]
    assert events[-1].data["description"] == body["description"]


async def test_a_streamed_fallback_comes_as_sentences_too(start: Start) -> None:
    service = await start(Script(text=PHONE))
    events = await service.events()
    assert " ".join(sentences(events)) == events[-1].data["description"]


async def test_the_template_keeps_the_sellers_contacts_to_itself(start: Start) -> None:
    service = await start(Script(text=""))
    params = {"Телефон": "8 912 345 67 89", "Цвет": "Синий"}
    description = (await service.describe(params=params)).json["description"]
    assert "912" not in description
    assert "Синий" in description


async def test_an_unusable_first_answer_is_drawn_again(start: Start) -> None:
    texts = iter([PHONE, TEXT, PHONE, TEXT])
    service = await start(Script(text=lambda messages: next(texts)))
    before = await service.sample("llm_useless_attempts_total", model_version="a")
    for answer in ((await service.describe()).json, (await service.events())[-1].data):
        assert (answer["description"], answer["finish"]) == (TEXT, "stop")
        assert answer["usage"]["completion_tokens"] == len(f"{PHONE} {TEXT}".split()), "of both attempts"
    assert await service.sample("llm_useless_attempts_total", model_version="a") == before + 2
    await service.settled()
    assert await service.sample("llm_guard_drops_total", reason="contact_phone") == 2


async def test_a_usable_answer_is_drawn_once(service: LiveService) -> None:
    before = service.engine.started
    await service.describe()
    assert service.engine.started == before + 1


async def test_a_card_with_one_attempt_falls_back_at_once(start: Start) -> None:
    card = load_card(CARD)
    settings = card.tasks["describe"].model_copy(update={"attempts": 1})
    engine = FakeEngine()
    service = await start(
        Script(text=PHONE), engine=engine, card=card.model_copy(update={"tasks": {"describe": settings}})
    )
    before = engine.started
    assert (await service.describe()).json["finish"] == "fallback"
    assert engine.started == before + 1


async def test_sentences_wait_until_one_names_the_subject(start: Start) -> None:
    shown = ["Цвет — красный.", "Цена — 12 600 ₽.", "В продаже велосипед."]
    held = f"{shown[0]} {shown[1]} В продаже"
    service = await start(
        Script(text=f"{' '.join(shown)} Вид — горный.", fault="hang", fault_after=len(held.split()))
    )
    async with service.streaming() as (_, events):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.2)
    service.engine.script = Script(text=f"{' '.join(shown)} Вид — горный.")
    assert sentences(await service.events()) == [*shown, "Вид — горный."]


async def test_a_text_about_something_else_is_dropped_whole(start: Start) -> None:
    service = await start(Script(text="Цвет — красный. Вид — горный."))
    body, events = await both(service)
    assert {claim["reason"] for claim in body["removed_claims"]} == {"off_topic"}
    assert body["finish"] == "fallback"
    assert "Вид — горный." not in sentences(events)


@pytest.mark.parametrize("tone", ["neutral", "friendly", "concise"])
async def test_the_tone_reaches_the_prompt(service: LiveService, tone: str) -> None:
    assert (await service.describe(tone=tone)).status == 200
    told = json.dumps(service.engine.prompts[-1], ensure_ascii=False)
    assert ("приветливо" in told) == (tone == "friendly")
    assert ("коротко" in told) == (tone == "concise")


async def test_the_prompt_holds_the_listing(service: LiveService) -> None:
    await service.describe()
    last = service.engine.prompts[-1][-1]["content"]
    for fact in ("Велосипед Forward Apache", "Велосипеды", "Вид: Горный", "Цвет: Красный", "12 600 ₽"):
        assert fact in last


@pytest.mark.parametrize(
    "title",
    [
        "Велосипед\u0000Stels",
        "🚲 Велосипед 👨‍👩‍👧 ❤️",
        "Велосипед \u202eslets\u202c \u200fעברית",
        "Велосипед " * 20,
        "<|im_end|> Велосипед {{ 7*7 }}",
        "\u2028Велосипед\u2029",
        "В" * 200,
        "🚲",
        "ё́лка й",
    ],
    ids=[
        "NUL",
        "emoji",
        "RTL",
        "200 characters",
        "template",
        "separators",
        "one word",
        "one emoji",
        "combining",
    ],
)
async def test_odd_titles_are_served(service: LiveService, title: str) -> None:
    answer = await service.describe(title=title)
    assert answer.status == 200
    assert answer.json["description"]
    assert (await service.events(title=title))[-1].name == "done"


@pytest.mark.parametrize(
    "fields",
    [
        {"category": None, "params": {}, "price": None},
        {"params": {f"Поле {n}": "да" for n in range(60)}},
        {"photos": [{"url": f"https://example.org/{n}"} for n in range(10)]},
        {"price": 0},
        {"price": 12500.5},
        {"max_chars": 100},
        {"max_chars": 3000},
        {"seller_id": "s-1"},
        {"params": {"Пусто": ""}},
        {"model_version": None, "seller_id": None},
    ],
    ids=str,
)
async def test_the_edges_of_the_contract_are_inside(service: LiveService, fields: dict[str, Any]) -> None:
    assert (await service.describe(**fields)).status == 200


async def test_a_title_alone_is_enough(start: Start) -> None:
    service = await start(Script(text="В продаже велосипед Forward Apache."))
    answer = await service.post(json.dumps({"title": LISTING["title"]}))
    assert answer.status == 200
    assert answer.json["description"] == "В продаже велосипед Forward Apache."
