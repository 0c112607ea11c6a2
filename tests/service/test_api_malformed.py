"""A malformed request is told where it is wrong and why, and never reaches an engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.service.live_service import LISTING, Answer, LiveService, live

pytestmark = pytest.mark.asyncio(loop_scope="module")
TITLE = '{"title": "Велосипед", '


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[LiveService]:
    """One service for all of them: none may leave a trace."""
    async with live() as running:
        yield running
        assert running.idle


def listing(**fields: Any) -> str:
    return json.dumps({**LISTING, **fields})


def assert_problem(answer: Answer, *, status: int, code: str) -> dict[str, Any]:
    """Hold an answer against RFC 9457 and the contract; return the document."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem.keys() - {"errors"} == {"type", "title", "status", "detail", "code", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert all(isinstance(problem[key], str) and problem[key] for key in ("type", "title", "detail"))
    return problem


SYNTAX = {
    "broken JSON": TITLE,
    "a comma too many": TITLE + "}",
    "single quotes": "{'title': 'x'}",
    "text after the end": '{"title": "x"} x',
    "bad UTF-8": b'{"title": "\xd0\xd0\xff"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "lone surrogate": r'{"title": "\ud83d велосипед"}',
    "2,000 levels": TITLE + '"params": ' + "[" * 2000 + "]" * 2000 + "}",
    "100,000 levels": "[" * 100_000,
    "NaN": TITLE + '"price": NaN}',
    "Infinity": TITLE + '"price": Infinity}',
    "minus Infinity": TITLE + '"price": -Infinity}',
    "a control character": '{"title": "a\u0001b"}',
    "blanks": "   ",
}
PLACES = {
    "empty": ("", ["body"]),
    "null": ("null", ["body"]),
    "array": ("[]", ["body"]),
    "string": ('"x"', ["body"]),
    "no title": ("{}", ["body", "title"]),
    "null title": ('{"title": null}', ["body", "title"]),
    "empty title": ('{"title": ""}', ["body", "title"]),
    "blank title": ('{"title": " \\u00a0\\n "}', ["body", "title"]),
    "number as title": ('{"title": 5}', ["body", "title"]),
    "201 characters": (listing(title="я" * 201), ["body", "title"]),
    "long category": (listing(category="я" * 201), ["body", "category"]),
    "unknown field": (listing(titel="x"), ["body", "titel"]),
    "61 params": (listing(params={f"p{n}": "x" for n in range(61)}), ["body", "params"]),
    "array as params": (listing(params=[]), ["body", "params"]),
    "number in params": (listing(params={"Цвет": 5}), ["body", "params", "Цвет"]),
    "null in params": (listing(params={"Цвет": None}), ["body", "params", "Цвет"]),
    "nested params": (listing(params={"Цвет": {"RAL": "5010"}}), ["body", "params", "Цвет"]),
    "blank param name": (listing(params={" ": "x"}), ["body", "params"]),
    "long param": (listing(params={"Цвет": "я" * 1001}), ["body", "params", "Цвет"]),
    "11 photos": (listing(photos=[{"url": "https://a.ru/1"}] * 11), ["body", "photos"]),
    "photo with both": (listing(photos=[{"url": "https://a.ru", "base64": "aa"}]), ["body", "photos", 0]),
    "photo with neither": (listing(photos=[{"url": "https://a.ru"}, {}]), ["body", "photos", 1]),
    "photo as a string": (listing(photos=["https://a.ru"]), ["body", "photos", 0]),
    "photo in a file": (listing(photos=[{"url": "file:///etc/passwd"}]), ["body", "photos", 0, "url"]),
    "photo with more": (listing(photos=[{"base64": "aa", "name": "x"}]), ["body", "photos", 0, "name"]),
    "negative price": (listing(price=-1), ["body", "price"]),
    "endless price": (TITLE + '"price": 1e400}', ["body"]),
    "price of 400 digits": (TITLE + f'"price": {"9" * 400}}}', ["body"]),
    "price beyond all money": (listing(price=1e13), ["body", "price"]),
    "string as price": (listing(price="8500"), ["body", "price"]),
    "boolean as price": (listing(price=True), ["body", "price"]),
    "unknown tone": (listing(tone="rude"), ["body", "tone"]),
    "null tone": (listing(tone=None), ["body", "tone"]),
    "max_chars 99": (listing(max_chars=99), ["body", "max_chars"]),
    "max_chars 3001": (listing(max_chars=3001), ["body", "max_chars"]),
    "max_chars in quotes": (listing(max_chars="500"), ["body", "max_chars"]),
    "max_chars true": (listing(max_chars=True), ["body", "max_chars"]),
    "max_chars 500.5": (listing(max_chars=500.5), ["body", "max_chars"]),
    "stream yes": (listing(stream="yes"), ["body", "stream"]),
    "stream 1": (listing(stream=1), ["body", "stream"]),
    "empty seller": (listing(seller_id=""), ["body", "seller_id"]),
    "number as seller": (listing(seller_id=17), ["body", "seller_id"]),
    "empty version": (listing(model_version=""), ["body", "model_version"]),
    "number as version": (listing(model_version=1), ["body", "model_version"]),
}


@pytest.mark.parametrize("body", SYNTAX.values(), ids=SYNTAX.keys())
async def test_what_is_no_json_is_422(service: LiveService, body: str | bytes) -> None:
    before = service.engine.started
    problem = assert_problem(await service.post(body), status=422, code="invalid_request")
    assert problem["errors"][0]["loc"][0] == "body"
    assert "JSON" in problem["errors"][0]["msg"]
    assert service.engine.started == before


@pytest.mark.parametrize(("body", "loc"), PLACES.values(), ids=PLACES.keys())
async def test_a_malformed_field_is_422_with_its_place(
    service: LiveService, body: str, loc: list[str | int]
) -> None:
    before = service.engine.started
    problem = assert_problem(await service.post(body), status=422, code="invalid_request")
    faults = problem["errors"]
    assert all(fault.keys() == {"loc", "msg"} and len(fault["msg"]) > 5 for fault in faults)
    assert faults[0]["loc"][: len(loc)] == loc
    assert service.engine.started == before


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_streaming_caller_gets_the_same_problem(service: LiveService, accept: str) -> None:
    answer = await service.post(listing(title="", stream=True), Accept=accept)
    assert_problem(answer, status=422, code="invalid_request")


async def test_all_faults_are_told_at_once(service: LiveService) -> None:
    problem = (await service.post(listing(title="", max_chars=1, tone="x", extra=1))).json
    assert [fault["loc"][1] for fault in problem["errors"]] == ["title", "tone", "max_chars", "extra"]


async def test_a_thousand_faults_do_not_make_a_thousand_lines(service: LiveService) -> None:
    problem = (await service.post(listing(**{f"x{n}": n for n in range(1000)}))).json
    assert 1 <= len(problem["errors"]) <= 100


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data"],
)
async def test_another_content_type_is_422_and_named(service: LiveService, content_type: str) -> None:
    answer = await service.post(listing(), content_type=content_type)
    problem = assert_problem(answer, status=422, code="invalid_request")
    assert "application/json" in json.dumps(problem)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_by_another_spelling_is_json(service: LiveService, content_type: str) -> None:
    assert (await service.post(listing(), content_type=content_type)).status == 200


async def test_of_a_repeated_key_the_last_counts(service: LiveService) -> None:
    answer = await service.post('{"title": "Кот", ' + listing()[1:])
    assert answer.status == 200
    assert answer.json["description"].startswith("В продаже")


@pytest.mark.parametrize("value", ["0", "-5", "1.5", "soon", "", "1e3", "９", "99999999999999999999"])
async def test_a_deadline_that_is_no_number_of_milliseconds_is_422(service: LiveService, value: str) -> None:
    raw = value.encode().decode("latin-1")
    answer = await service.describe(headers={"X-Deadline-Ms": raw})
    problem = assert_problem(answer, status=422, code="invalid_request")
    assert problem["errors"][0]["loc"] == ["header", "X-Deadline-Ms"]


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(service: LiveService) -> None:
    assert_problem(await service.get("/нет-такого"), status=404, code="not_found")
    answer = await service.get("/describe")
    assert_problem(answer, status=405, code="method_not_allowed")
    assert answer.headers["Allow"] == "POST"


async def test_the_version_in_the_body_or_the_header_is_served(service: LiveService) -> None:
    for pin in ({"model_version": "b"}, {"headers": {"X-Model-Version": "b"}}):
        answer = await service.describe(**pin)
        assert answer.status == 200
        assert answer.json["model_version"] == answer.headers["X-Model-Version"] == "b"
    both = await service.describe(model_version="b", headers={"X-Model-Version": "b"})
    assert both.json["model_version"] == "b"


async def test_two_different_versions_are_422(service: LiveService) -> None:
    answer = await service.describe(model_version="a", headers={"X-Model-Version": "b"})
    problem = assert_problem(answer, status=422, code="invalid_request")
    assert problem["errors"][0]["loc"] == ["header", "X-Model-Version"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_version_that_is_not_live_is_404(service: LiveService, stream: bool) -> None:
    for pin in ({"model_version": "a "}, {"headers": {"X-Model-Version": "A"}}, {"model_version": "../a"}):
        problem = assert_problem(
            await service.describe(stream=stream, **pin), status=404, code="unknown_model_version"
        )
        assert "a, b" in problem["detail"]
