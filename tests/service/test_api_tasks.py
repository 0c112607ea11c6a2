"""The tasks beside /describe over HTTP: odd input gets a clear answer, streams end with done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.engine.fake import Script
from tests.service.live_service import LiveService, becomes, live, read_events

REVIEWS = [
    {"id": "1", "text": "Светит ярко, ребёнок доволен. Упаковка мятая.", "rating": 5},
    {"id": "2", "text": "Яркий свет, но упаковка порвана.", "rating": 4},
    {"id": "3", "text": "Очень ярко светит!", "rating": 5},
]
CHAT = {"role": "seller", "listing": {"title": "Куртка зимняя", "price": 2500}}
ASKS = [{"from": "buyer", "text": "Здравствуйте! Какой размер?"}]


@pytest.fixture
async def service() -> AsyncIterator[LiveService]:
    async with live(Script(text="хвалит")) as running:
        yield running


def reviews(*rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"subject": {"kind": "product", "name": "Ночник"}, "reviews": list(rows), **fields}


async def post(service: LiveService, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = await service.request("POST", path, json=body)
    assert answer.status == status, answer.body
    document: dict[str, Any] = answer.json
    return document


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "😀😀😀", "\u202e\u200b", "שלום עולם", "…", "\U000e0041\U000e0042"]
)
async def test_texts_that_say_nothing_get_a_clear_answer(service: LiveService, text: str) -> None:
    extracted = await post(service, "/extract-model", {"title": text, "description": text})
    assert (extracted["model"], extracted["reason"]) == (None, "not_stated")
    summarized = await post(
        service, "/summarize-reviews", reviews(*({**one, "text": text} for one in REVIEWS))
    )
    assert (summarized["summary"], summarized["pros"], summarized["cons"]) == (None, [], [])
    assert sum(skipped["count"] for skipped in summarized["skipped"]) >= 3
    suggested = await post(
        service, "/suggest-replies", {**CHAT, "messages": [{"from": "buyer", "text": text}]}
    )
    assert (suggested["suggestions"], suggested["abstained"]) == ([], "unclear")


async def test_ten_thousand_reviews_of_one_character(service: LiveService) -> None:
    rows = [{"id": str(n), "text": "ж" if n % 2 else "!", "rating": 1 + n % 5} for n in range(10_000)]
    answer = await post(service, "/summarize-reviews", reviews(*rows))
    assert (answer["summary"], answer["used_reviews"]) == (None, 0)
    assert sum(skipped["count"] for skipped in answer["skipped"] if skipped["reason"] == "empty") == 10_000
    assert service.engine.started == 0


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/summarize-reviews", reviews(REVIEWS[0], REVIEWS[0]), "reviews"),
        ("/summarize-reviews", reviews(*({"id": str(n), "text": "а"} for n in range(10_001))), "reviews"),
        ("/summarize-reviews", reviews({"id": "1", "text": "а", "rating": 6}), "rating"),
        ("/summarize-reviews", {"subject": {"kind": "shop", "name": "x"}, "reviews": []}, "kind"),
        ("/suggest-replies", {**CHAT, "messages": ASKS * 51}, "messages"),
        ("/suggest-replies", {**CHAT, "messages": ASKS, "count": 6}, "count"),
        ("/suggest-replies", {**CHAT, "role": "admin", "messages": ASKS}, "role"),
        ("/extract-model", {"title": "x" * 501}, "title"),
        ("/extract-model", {"titel": "x"}, "titel"),
    ],
)
async def test_what_is_malformed_is_422_with_its_place(
    service: LiveService, path: str, body: dict[str, Any], place: str
) -> None:
    problem = await post(service, path, body, status=422)
    assert problem["code"] == "invalid_request"
    assert any(place in map(str, error["loc"]) for error in problem["errors"])


async def test_a_chat_with_only_the_other_side_gets_replies(service: LiveService) -> None:
    answer = await post(service, "/suggest-replies", {**CHAT, "messages": ASKS})
    texts = [suggestion["text"] for suggestion in answer["suggestions"]]
    assert len(set(texts)) == len(texts) == 3
    assert answer["abstained"] is None


async def test_a_summary_is_streamed_sentence_by_sentence(service: LiveService) -> None:
    body = reviews(*REVIEWS, stream=True)
    async with service.session.post(f"{service.url}/summarize-reviews", json=body) as response:
        assert response.content_type == "text/event-stream"
        events = [event async for event in read_events(response)]
    *sentences, done = events
    assert {event.name for event in sentences} == {"sentence"}
    assert done.name == "done"
    assert done.data["summary"] == " ".join(event.data["text"] for event in sentences)
    assert {aspect["aspect"]: aspect["count"] for aspect in done.data["pros"]}["яркость"] >= 2


async def test_the_deadline_yields_the_best_partial_summary() -> None:
    names = [f"{first}о{second}а" for first in "бвгджз" for second in "бвгджзклмн"]
    rows = [{"id": name, "text": f"Цвет странный словно {name}", "rating": 3} for name in names]
    async with live(Script(text="хвалит", first_token_s=0.2), max_parallel=2) as service:
        body, headers = reviews(*REVIEWS, *rows), {"X-Deadline-Ms": "2500"}
        answer = await service.request("POST", "/summarize-reviews", json=body, headers=headers)
        assert answer.status == 200
        assert answer.seconds < 2.6
        assert answer.json["partial"]
        not_read = {one["reason"]: one["count"] for one in answer.json["skipped"]}["not_read"]
        assert 0 < answer.json["used_reviews"] == len(rows) + len(REVIEWS) - not_read
        await becomes(lambda: service.idle)
        again = await service.request("POST", "/summarize-reviews", json=body, headers=headers)
        assert again.json["used_reviews"] > answer.json["used_reviews"], "it goes on where it stopped"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/extract-model", {"title": "Смартфон Apple iPhone 13 Pro"}),
        ("/suggest-replies", {**CHAT, "messages": ASKS}),
    ],
)
async def test_an_engine_that_is_down_is_503(path: str, body: dict[str, Any]) -> None:
    async with live(Script(fault="down")) as service:
        problem = await post(service, path, body, status=503)
        assert problem["code"] == "engine_down"


async def test_answers_from_the_store_are_counted(service: LiveService) -> None:
    service.engine.script = Script(text=json.dumps({"brand": "Apple", "models": ["iPhone 13 Pro"]}))
    for _ in range(3):
        await post(service, "/extract-model", {"title": "Смартфон Apple iPhone 13 Pro"})
    assert await service.sample("llm_recalled_total", task="extract_model") == 2
