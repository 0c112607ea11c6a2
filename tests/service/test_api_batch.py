"""POST /extract-model/batch over HTTP: in order, one bad item harms no other, the limits hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from service.engine.base import Message
from service.engine.fake import Script
from tests.service.live_service import Answer, LiveService, becomes, live

GOOD = {"item_id": "a", "title": "Смартфон iPhone 13 Pro"}


def obliging(messages: Sequence[Message]) -> str:
    """Name the second word onwards of the title as the model: enough to tell the items apart."""
    title = messages[-1]["content"].splitlines()[1]
    return json.dumps({"brand": None, "models": [title.partition(" ")[2]]}, ensure_ascii=False)


async def batch(service: LiveService, items: Any, **options: Any) -> Answer:
    body = {"items": items, **options.pop("fields", {})}
    return await service.request("POST", "/extract-model/batch", json=body, **options)


@pytest.fixture
async def service():
    async with live(Script(text=obliging)) as running:
        yield running


async def test_answers_come_in_the_order_asked(service: LiveService) -> None:
    items = [{"item_id": str(n), "title": f"Часы Garmin{n} X{n}a"} for n in range(256)]
    answer = await batch(service, items)
    assert answer.status == 200
    assert [item["item_id"] for item in answer.json["items"]] == [str(n) for n in range(256)]
    assert [item["result"]["model"] for item in answer.json["items"]] == [
        f"Garmin{n} X{n}a" for n in range(256)
    ]
    assert {item["status"] for item in answer.json["items"]} == {"ok"}
    assert all("problem" not in item for item in answer.json["items"])


BAD = [
    {"item_id": "bad", "title": 5},
    {"item_id": "bad", "title": "x" * 501},
    {"item_id": "bad", "title": "ok", "unknown": 1},
    {"title": "no id"},
    {"item_id": "bad", "title": "ok", "model_version": "nobody"},
    {"item_id": True, "title": "ok"},
    "text",
    None,
    [],
    5,
]


@pytest.mark.parametrize("bad", BAD, ids=map(str, range(len(BAD))))
async def test_a_bad_item_harms_no_other(service: LiveService, bad: Any) -> None:
    answer = await batch(service, [GOOD, bad, {**GOOD, "item_id": "c"}])
    assert answer.status == 200
    first, middle, last = answer.json["items"]
    assert first["result"]["model"] == last["result"]["model"] == "iPhone 13 Pro"
    assert middle["status"] == "error"
    assert "result" not in middle
    assert middle["problem"]["status"] in (404, 422)
    assert middle["problem"]["request_id"]


async def test_numbers_and_repeated_ids_come_back_as_they_are(service: LiveService) -> None:
    answer = await batch(service, [{**GOOD, "item_id": name} for name in (1, "1", 1)])
    assert [item["item_id"] for item in answer.json["items"]] == [1, "1", 1]


@pytest.mark.parametrize(
    "body",
    [
        {"items": []},
        {"items": [GOOD] * 257},
        {"items": {"0": GOOD}},
        {},
        {"items": [GOOD], "extra": 1},
        [GOOD],
    ],
    ids=["empty", "257", "mapping", "none", "unknown field", "list"],
)
async def test_a_malformed_batch_is_422(service: LiveService, body: Any) -> None:
    answer = await service.request("POST", "/extract-model/batch", json=body)
    assert answer.status == 422
    assert answer.json["code"] == "invalid_request"
    assert answer.json["errors"]


async def test_a_pinned_version_holds_for_all_items(service: LiveService) -> None:
    answer = await batch(service, [GOOD], headers={"X-Model-Version": "a"})
    assert answer.headers["X-Model-Version"] == "a"
    assert answer.json["items"][0]["result"]["model_version"] == "a"
    assert (await batch(service, [GOOD], headers={"X-Model-Version": "nobody"})).status == 404


async def test_what_is_late_is_an_error_of_its_item_and_the_rest_is_answered() -> None:
    async with live(Script(text=obliging, first_token_s=0.2), max_in_flight=2, max_parallel=2) as service:
        items = [{"item_id": n, "title": f"Часы Garmin{n} X{n}a"} for n in range(20)]
        answer = await batch(service, items, headers={"X-Deadline-Ms": "1000"})
        assert answer.status == 200
        assert answer.seconds < 1.2
        states = [item["status"] for item in answer.json["items"]]
        assert states[0] == "ok"
        assert states[-1] == "error"
        late = answer.json["items"][-1]["problem"]
        assert (late["status"], late["code"]) == (504, "deadline_exceeded")
        again = await batch(service, items[:2], headers={"X-Deadline-Ms": "1000"})
        assert again.seconds < 0.2, "what was answered is remembered"
        await becomes(lambda: service.idle)


async def test_an_engine_that_is_down_is_told_item_by_item() -> None:
    async with live(Script(fault="down")) as service:
        answer = await batch(service, [GOOD, {"item_id": "none", "title": "Платье летнее"}])
        assert answer.status == 200
        failed, fine = answer.json["items"]
        assert failed["problem"]["code"] == "engine_down"
        assert fine["result"]["reason"] == "not_stated"


async def test_a_batch_leaves_room_for_others() -> None:
    async with live(
        Script(text=obliging, first_token_s=0.3), max_in_flight=2, max_queue=4, max_parallel=8
    ) as service:
        items = [{"item_id": n, "title": f"Часы Garmin{n} X{n}a"} for n in range(12)]
        running = asyncio.create_task(batch(service, items))
        await becomes(lambda: service.gate.in_flight == 2)
        body = {"title": "Часы Casio GA-100"}
        alone = await service.request("POST", "/extract-model", json=body)
        assert alone.status == 200
        assert alone.seconds < 1.0
        assert (await running).status == 200


async def test_a_client_that_leaves_frees_the_engine() -> None:
    async with live(Script(text=obliging, first_token_s=60.0)) as service:
        running = asyncio.create_task(batch(service, [GOOD, {**GOOD, "title": "Часы Casio GA-100"}]))
        await becomes(lambda: service.engine.in_flight == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await becomes(lambda: service.idle)
