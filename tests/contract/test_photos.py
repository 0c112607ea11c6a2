"""Photos through the whole real service: the shipped eyes look, the real vLLM writes."""

from __future__ import annotations

import base64
import gzip
import json
import random
import tarfile
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.letters import stem
from service.tasks.listing import ON_PHOTO
from tests.contract.conftest import ROOT, RealService
from tests.service.photo_bombs import plain, saved

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

PHOTOS = ROOT.parent / "shared" / "data" / "photos" / "clothing.tar"
NUM, SEED = 16, 5
LISTING: dict[str, Any] = {"title": "Продам недорого", "params": {"Состояние": "Новое"}, "price": 900}
LOADED_S = 120


@pytest.fixture
async def client(real_service: RealService) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(real_service.url) as session:
        yield session


async def describe(client: aiohttp.ClientSession, **fields: Any) -> dict[str, Any]:
    async with client.post("/describe", json=LISTING | fields) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def seen(client: aiohttp.ClientSession, data: bytes) -> dict[str, Any]:
    """Ask until the eyes are loaded."""
    photos = [{"base64": base64.b64encode(data).decode()}]
    begun = time.monotonic()
    while True:
        answer = await describe(client, photos=photos)
        reasons = [one["reason"] for one in answer["skipped_photos"]]
        if "captions_timeout" not in reasons:
            return answer
        assert time.monotonic() - begun < LOADED_S


def photos() -> list[bytes]:
    """Return random photos of clothes."""
    with gzip.open(PHOTOS.with_suffix(".jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    names = random.Random(SEED).sample([row["file"] for row in rows], NUM)
    with tarfile.open(PHOTOS) as tar:
        found = [tar.extractfile(name) for name in names]
        return [file.read() for file in found if file]


async def test_a_square_of_one_colour_is_no_garment(client: aiohttp.ClientSession) -> None:
    answer = await seen(client, saved(plain((256, 256), (128, 128, 128)), "JPEG"))
    assert answer["finish"] == "stop"
    assert all(label["name"] != "футболка" for one in answer["captions"] for label in one["labels"])
    assert not any(one["reason"].startswith("captions_") for one in answer["skipped_photos"]), (
        "the shipped eyes did not look"
    )


@pytest.mark.skipif(not PHOTOS.exists(), reason="the photos lie beside the repository")
async def test_what_the_photo_shows_reaches_the_description(client: aiohttp.ClientSession) -> None:
    answers = [await seen(client, data) for data in photos()]
    captioned = [one for one in answers if one["captions"]]
    told = [one for one in captioned if any(ON_PHOTO in fact for fact in one["used_facts"])]
    for one in answers:
        print([caption["text"] for caption in one["captions"]], "|", one["description"])
    assert len(captioned) >= NUM // 3
    assert len(told) >= 0.9 * len(captioned)
    for one in told:
        noun = one["captions"][0]["text"].split(";")[0].split(" ")
        assert any(stem(word) in one["description"].lower() for word in noun)
    without = await describe(client)
    assert ON_PHOTO not in without["description"]
