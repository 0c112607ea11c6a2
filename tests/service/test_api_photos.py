"""Photos through /describe: good ones are looked at, bad ones refused, lost ones reported."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from service.captions import Label, Look
from service.engine.fake import Script
from service.fetching import Fetcher
from service.photos import Decoder, Pixels
from service.sight import Sight
from service.sightings import INTRO, Contradiction, Seen
from tests.conftest import Start
from tests.service.live_service import LiveService
from tests.service.photo_bombs import plain, saved
from tests.service.photo_hosts import Host, fetching

RED = saved(plain(), "JPEG")
ELSEWHERE = {"url": "https://example.org/1.jpg"}


def inline(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


class Scripted:
    """Eyes that see what they are told to, and remember what they were shown."""

    def __init__(self, *looks: Look, caption: str | None = None, denied: Contradiction | None = None) -> None:
        self.looks = looks
        self.seen = Seen(f"{INTRO}{caption}" if caption else None, contradictions=(denied,) if denied else ())
        self.shown: list[Pixels] = []

    async def look(self, photos: Sequence[Pixels]) -> Sequence[Look]:
        self.shown += photos
        return self.looks[: len(photos)]

    def merged(self, looks: Sequence[Look], **_: Any) -> Seen:
        return self.seen

    async def close(self) -> None:
        pass


def give(service: LiveService, eyes: Scripted, fetcher: Fetcher | None = None) -> None:
    service.app.state.runner.sight = Sight(Decoder(), fetcher or Fetcher([]), eyes)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_photo_is_refused_with_its_index_before_the_model_is_asked(
    service: LiveService, stream: bool
) -> None:
    photos = [inline(RED), inline(b"<svg/>" * 20), ELSEWHERE, {"base64": "no base64"}]
    answer = await service.describe(photos=photos, stream=stream)
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")
    assert [(error["loc"], error["code"]) for error in answer.json["errors"]] == [
        (["body", "photos", 1, "base64"], "unsupported_format"),
        (["body", "photos", 3, "base64"], "not_base64"),
    ]
    assert service.engine.prompts == []
    assert service.idle


async def test_a_photo_that_cannot_be_fetched_is_reported_and_the_rest_told(
    service: LiveService,
) -> None:
    answer = await service.describe(photos=[ELSEWHERE, inline(RED)])
    assert answer.status == 200
    assert answer.json["finish"] == "stop"
    assert answer.json["skipped_photos"] == [
        {"photo": 0, "reason": "host_not_allowed"},
        {"photo": 1, "reason": "captions_unavailable"},
    ]
    assert answer.json["timings_ms"]["photos"] > 0


async def test_without_photos_there_is_no_time_spent_on_them(service: LiveService) -> None:
    assert "photos" not in (await service.describe()).json["timings_ms"]


async def test_what_is_seen_reaches_the_prompt_the_answer_and_what_may_be_said(start: Start) -> None:
    service = await start(Script(text="В продаже толстовка. На фото синяя толстовка с капюшоном."))
    hoodie = Look(labels=(Label("kind", "толстовка", 0.91234),), text="синяя толстовка")
    eyes = Scripted(hoodie, Look(), caption="синяя толстовка с капюшоном")
    give(service, eyes)
    listing: dict[str, Any] = {"title": "Толстовка", "params": {}, "price": None, "category": None}
    body = (await service.describe(photos=[inline(RED), inline(RED)], **listing)).json
    assert "На фото: синяя толстовка с капюшоном" in service.engine.prompts[-1][-1]["content"]
    assert body["captions"] == [
        {
            "photo": 0,
            "text": "синяя толстовка",
            "labels": [{"name": "толстовка", "score": 0.9123}],
        }
    ]
    assert body["skipped_photos"] == [{"photo": 1, "reason": "nothing_recognised"}]
    assert "синяя" in body["description"]
    assert len(eyes.shown) == 2
    assert "На фото: синяя толстовка с капюшоном" in body["used_facts"]
    unseen = (await service.describe(**listing)).json
    assert "синяя" not in unseen["description"], "nobody said so without the photo"


async def test_a_caption_that_the_model_left_out_is_told_at_the_end(start: Start) -> None:
    service = await start(Script(text="В продаже велосипед Forward Apache. На вопросы отвечу."))
    give(service, Scripted(Look(text="велосипед"), caption="красный горный велосипед"))
    told = (await service.describe(photos=[inline(RED)], params={})).json["description"]
    assert "На фото — красный горный велосипед." in told


async def test_what_the_seller_denies_is_reported_and_not_told(service: LiveService) -> None:
    denied = Contradiction(Label("colour", "синий", 0.9), "Цвет", "Красный")
    give(service, Scripted(Look(text="синий велосипед"), caption="велосипед", denied=denied))
    told = (await service.describe(photos=[inline(RED)])).json
    assert {"text": "На фото: синий", "reason": "photo_contradicts_seller"} in told["removed_claims"]
    assert "син" not in service.engine.prompts[-1][-1]["content"]


@pytest.mark.parametrize("reason", ["captions_failed", "captions_timeout"])
async def test_eyes_that_fail_cost_the_caption_only(service: LiveService, reason: str) -> None:
    give(service, Scripted(Look(reason=reason)))
    told = (await service.describe(photos=[inline(RED)])).json
    assert told["skipped_photos"] == [{"photo": 0, "reason": reason}]
    assert (told["finish"], told["captions"]) == ("stop", [])


async def test_a_photo_is_fetched_from_an_allowed_host_and_looked_at(service: LiveService) -> None:
    async with Host().running() as host, fetching(host.port) as fetcher:
        eyes = Scripted(Look(text="красный квадрат"))
        give(service, eyes, fetcher)
        told = (await service.describe(photos=[{"url": f"http://img.example.ru:{host.port}/red"}])).json
    assert [one["text"] for one in told["captions"]] == ["красный квадрат"]
    assert (eyes.shown[0].width, eyes.shown[0].height) == (64, 64)


async def test_a_fetched_file_that_is_no_photo_is_refused_like_an_inline_one(service: LiveService) -> None:
    async with Host().running() as host, fetching(host.port) as fetcher:
        give(service, Scripted(), fetcher)
        answer = await service.describe(photos=[{"url": f"http://img.example.ru:{host.port}/photo"}])
    assert answer.status == 422
    assert answer.json["errors"][0]["loc"] == ["body", "photos", 0, "url"]
    assert "example.ru" not in answer.json["errors"][0]["msg"]
