"""A body over the limit is 413, and a client that sends first and reads afterwards sees it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.conftest import Start
from tests.service.live_service import LiveService
from tests.service.photo_bombs import saved
from tests.service.test_api_malformed import assert_problem, listing

LIMIT = 64 * 2**10
TOO_LARGE = listing(category="я" * LIMIT).encode()


@pytest.fixture
async def bounded(start: Start) -> LiveService:
    return await start(max_body_bytes=LIMIT)


async def send_then_read(service: LiveService, *, head: str, body: bytes) -> bytes:
    """Send everything before the first look at the answer, as simple clients do."""
    address = urlsplit(service.url)
    assert address.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    try:
        start = f"POST /describe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n\r\n"
        writer.write(start.encode())
        for at in range(0, len(body), 2**14):
            writer.write(body[at : at + 2**14])
            await writer.drain()
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.readuntil(b'"}'), 5)
    finally:
        writer.close()


def chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 9000] for at in range(0, len(body), 9000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("times", [1, 5])
async def test_a_declared_length_over_the_limit(bounded: LiveService, times: int) -> None:
    body = TOO_LARGE * times
    answer = await send_then_read(bounded, head=f"Content-Length: {len(body)}", body=body)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"payload_too_large"' in answer


@pytest.mark.parametrize("times", [1, 5])
async def test_a_chunked_body_over_the_limit(bounded: LiveService, times: int) -> None:
    answer = await send_then_read(bounded, head="Transfer-Encoding: chunked", body=chunked(TOO_LARGE * times))
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_the_problem_tells_the_limit_and_is_counted(bounded: LiveService) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(TOO_LARGE), 5000):
            yield TOO_LARGE[at : at + 5000]

    for body in (TOO_LARGE, pieces()):
        answer = await bounded.request(
            "POST", "/describe", data=body, headers={"Content-Type": "application/json"}
        )
        problem = assert_problem(answer, status=413, code="payload_too_large")
        assert str(LIMIT) in problem["detail"]
    assert await bounded.sample("llm_errors_total", path="/describe", code="payload_too_large") == 2
    assert bounded.idle


async def test_a_body_at_the_limit_is_served(bounded: LiveService) -> None:
    body = listing()
    padded = body[:-1] + " " * (LIMIT - len(body.encode())) + "}"
    assert len(padded.encode()) == LIMIT
    assert (await bounded.post(padded)).status == 200
    assert (await bounded.post(padded + " ")).status == 413


async def test_a_client_that_gives_up_half_way_harms_nothing(bounded: LiveService) -> None:
    address = urlsplit(bounded.url)
    _, writer = await asyncio.open_connection("127.0.0.1", address.port)
    writer.write(b"POST /describe HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await bounded.describe()).status == 200
    assert bounded.idle


async def test_ten_photos_fit_into_the_default_limit(service: LiveService) -> None:
    noise = Image.frombytes("RGB", (800, 600), random.Random(1).randbytes(3 * 800 * 600))
    data = saved(noise, "PNG")
    photos = [{"base64": base64.b64encode(data).decode()}] * 9
    assert 9 * len(data) > 12 * 10**6
    body = json.dumps({"title": "Велосипед", "photos": photos}).encode()
    answer = await service.request(
        "POST", "/describe", data=BytesIO(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status == 200
    assert len(answer.json["skipped_photos"]) == 9
