"""The tasks beside /describe on a real vLLM: what they promise holds whatever the model draws."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.bench.gold import FOLDER, gold
from tests.bench.stage import default_card
from tests.contract.conftest import ROOT, RealService
from tests.service.service_process import deployment_text

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

REVIEWS = FOLDER.parent / "reviews" / "one_product_nightlight.jsonl.gz"
OWN_TITLES = [
    "Смартфон Apple iPhone 13 Pro 256GB",
    "Комод «Мальта» 4 ящика",
    "Платье летнее в цветочек",
    "Швейная машина Janome 7524A",
    "Чехол для Samsung Galaxy A51",
]
OWN_REVIEWS = [
    "Светит очень ярко, ребёнок доволен. Провод короткий.",
    "Яркий свет, хорошая упаковка.",
    "Провод короткий, не достаёт до розетки. Свет яркий.",
    "Пришло быстро, упаковка целая.",
    "Ужасный запах пластика, провод короткий.",
    "Свет яркий, запаха нет, упаковка хорошая.",
]
PROMISED = ("model", "brand", "model_key", "confidence", "evidence", "reason", "normalizer_version")


@pytest.fixture
async def client(real_service: RealService) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(real_service.url) as session:
        yield session


async def ask(
    client: aiohttp.ClientSession, path: str, body: dict[str, Any], status: int = 200
) -> dict[str, Any]:
    async with client.post(path, json=body, headers={"X-Deadline-Ms": "240000"}) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        assert response.status == status, answer
        return answer


def titles(num: int) -> list[str]:
    """Return random real titles where the data is there, else a few of our own."""
    if not FOLDER.is_dir():
        return OWN_TITLES
    rows = [row.title for row in gold(most=num // 5, seed=2026)]
    return [*OWN_TITLES, *rows][:num]


def reviews(num: int) -> list[dict[str, Any]]:
    if not REVIEWS.exists():
        return [{"id": str(n), "text": text, "rating": None} for n, text in enumerate(OWN_REVIEWS)]
    with gzip.open(REVIEWS, "rt", encoding="utf-8", newline="\n") as lines:
        rows = [json.loads(line) for line in lines][:num]
    return [{"id": str(n), "text": row["text"], "rating": row["rating"]} for n, row in enumerate(rows)]


def hold(title: str, result: dict[str, Any]) -> None:
    """Hold one extraction against its title."""
    assert 0 <= result["confidence"] <= 1
    if result["model"] is None:
        assert result["reason"] in {"not_stated", "ambiguous", "several_products"}
        assert (result["model_key"], result["evidence"]) == (None, [])
        return
    assert result["reason"] is None
    assert result["model_key"]
    assert result["evidence"][0]["text"] == result["model"]
    for evidence in result["evidence"]:
        assert title[evidence["start"] : evidence["end"]] == evidence["text"]


async def test_models_of_real_titles_stand_in_them(client: aiohttp.ClientSession) -> None:
    asked = titles(40)
    items = [{"item_id": n, "title": title} for n, title in enumerate(asked)]
    items.insert(3, {"item_id": "bad", "title": 5})
    answers = (await ask(client, "/extract-model/batch", {"items": items}))["items"]
    assert [answer["item_id"] for answer in answers] == [item["item_id"] for item in items]
    bad = answers.pop(3)
    assert (bad["status"], bad["problem"]["status"]) == ("error", 422)
    for title, answer in zip(asked, answers, strict=True):
        hold(title, answer["result"])
    assert any(answer["result"]["model"] for answer in answers)
    assert answers[2]["result"]["model"] is None, "a dress with flowers has no model"
    alone = await ask(client, "/extract-model", {"title": asked[0]})
    assert {name: alone[name] for name in PROMISED} == {name: answers[0]["result"][name] for name in PROMISED}


async def test_bulk_on_the_real_engine_is_repeatable(vllm_url: str, tmp_path: Path) -> None:
    source, deployment = tmp_path / "in.jsonl", tmp_path / "deployment.toml"
    rows = [
        {"item_id": n, "seller_id": "s", "category": "Разное", "title": t} for n, t in enumerate(titles(12))
    ]
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    deployment.write_text(deployment_text(vllm_url, card=default_card()), encoding="utf-8")
    outputs = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.jsonl"
        command = [sys.executable, "-m", "service", "bulk", "extract-model", str(source), str(out)]
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=ROOT,
            env={
                **os.environ,
                "LLM_DEPLOYMENT": str(deployment),
                "LLM_ANSWERS": str(tmp_path / "answers.sqlite"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]
    results = [json.loads(line) for line in outputs[0].decode().splitlines()]
    assert [row["item_id"] for row in results] == [row["item_id"] for row in rows]
    for row in results:
        hold(rows[row["item_id"]]["title"], row["result"])


async def test_aspects_of_real_reviews_are_proved_by_them(client: aiohttp.ClientSession) -> None:
    asked = reviews(40)
    body = {"subject": {"kind": "product", "name": "Ночник-проектор"}, "reviews": asked, "max_chars": 400}
    answer = await ask(client, "/summarize-reviews", body)
    by_id = {review["id"]: review["text"] for review in asked}
    for side in ("pros", "cons"):
        for aspect in answer[side]:
            assert aspect["count"] >= 2
            assert len({quote["review_id"] for quote in aspect["quotes"]}) == len(aspect["quotes"]) > 0
            for quote in aspect["quotes"]:
                assert quote["text"] in by_id[quote["review_id"]]
    assert answer["pros"], "forty reviews of a liked product praise something twice"
    assert answer["summary"]
    assert len(answer["summary"]) <= 400
    assert answer["partial"] is False
    again = await ask(client, "/summarize-reviews", body)
    for name in ("summary", "pros", "cons", "rating", "used_reviews", "skipped"):
        assert again[name] == answer[name]
    assert again["usage"]["completion_tokens"] == 0, "the same reviews are answered from the store"


async def test_replies_differ_and_invent_nothing(client: aiohttp.ClientSession) -> None:
    body = {
        "role": "seller",
        "listing": {"title": "Куртка зимняя", "price": 2500, "params": {"Размер": "48"}, "description": None},
        "messages": [{"from": "buyer", "text": "Здравствуйте! Отдадите за 1700? Где забрать?"}],
        "count": 3,
    }
    answer = await ask(client, "/suggest-replies", body)
    texts = [suggestion["text"] for suggestion in answer["suggestions"]]
    assert answer["abstained"] is None
    assert len(texts) == len(set(texts)) == 3
    assert not any("1700" in text or "скид" in text.lower() for text in texts)
