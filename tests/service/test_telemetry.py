"""The log is JSON with request ids; neither it nor the metrics ever hold what a user wrote."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from service.engine.fake import FakeEngine, Script
from tests.conftest import Logged, Start
from tests.service.live_service import ENDLESS, SILENT, TEXT, LiveService, becomes
from tests.service.test_api_body_limit import send_then_read
from tests.service.test_api_faults import BrokenEngine

MARKER = "Тайна7f3a"
LATIN = "secret7f3a"
MARKED: dict[str, Any] = {
    "title": f"Велосипед {MARKER} {LATIN}",
    "category": MARKER,
    "params": {MARKER: f"{MARKER} {LATIN}"},
    "photos": [{"url": f"https://example.org/{LATIN}.jpg"}],
    "seller_id": LATIN,
}
BAD_BODIES = [
    f'{{"title": "{MARKER}", "price": {LATIN}}}',
    f'{{"title": "{MARKER}", "price": "{LATIN}"}}',
    f'{{"title": "{MARKER}", "{LATIN}": 1}}',
    f'{{"title": "{MARKER}", "params": {{"{MARKER}": 5}}}}',
    f'{{"title": "{MARKER}", "tone": "{LATIN}", "photos": ["{MARKER}"]}}',
    f'{{"title": "{MARKER}", "photos": [{{"base64": "{LATIN}"}}]}}',
    f'["{MARKER}"]',
    f'{{"title": "{MARKER * 40}"}}',
    MARKER.encode() + b"\xff",
]
SCRIPTS = [
    Script(text=f"{TEXT} Код {MARKER} {LATIN}."),
    Script(text=f"{MARKER} {LATIN}"),
    Script(text=MARKER, fault="abort", fault_after=1),
    Script(text=MARKER, fault="drop"),
    Script(fault="down"),
    Script(fault="overloaded"),
    Script(fault="rejected"),
    SILENT,
    ENDLESS,
]


async def every_path(service: LiveService) -> set[int]:
    """Take a marked listing down every path, good and bad; return the statuses met."""
    statuses = set()
    deadline = {"X-Deadline-Ms": "60"}
    for script in SCRIPTS:
        service.engine.script = script
        for stream in (False, True):
            statuses.add((await service.describe(stream=stream, headers=deadline, **MARKED)).status)
    for body in BAD_BODIES:
        statuses.add((await service.post(body)).status)
    for headers in (
        {"X-Model-Version": LATIN},
        {"X-Deadline-Ms": LATIN},
        {"X-Request-Id": f"{LATIN} {LATIN}"},
        {"User-Agent": LATIN, "Cookie": LATIN, "Referer": LATIN, "Authorization": LATIN},
    ):
        service.engine.script = Script(text=TEXT)
        statuses.add((await service.describe(headers=headers, **MARKED)).status)
    statuses.add((await service.describe(model_version=LATIN, **MARKED)).status)
    statuses.add((await service.get(f"/{LATIN}?{LATIN}={MARKER}")).status)
    statuses.add((await service.request("DELETE", f"/describe?q={LATIN}")).status)
    await service.get(f"/readyz?{LATIN}")
    too_large = json.dumps(MARKED).encode() + b" " * 70_000
    await send_then_read(service, head=f"Content-Length: {len(too_large)}", body=too_large)
    return statuses


async def hang_up(service: LiveService) -> None:
    service.engine.script = SILENT
    asking = asyncio.create_task(service.describe(**MARKED))
    await becomes(lambda: service.engine.in_flight == 1)
    assert (await service.describe(**MARKED)).status == 429
    asking.cancel()
    await becomes(lambda: service.idle)


@pytest.mark.parametrize("broken", [False, True], ids=["engine", "broken engine"])
async def test_no_text_of_a_user_reaches_log_or_metrics(start: Start, logged: Logged, broken: bool) -> None:
    engine = BrokenEngine() if broken else FakeEngine()
    service = await start(engine=engine, max_in_flight=1, max_queue=0, max_body_bytes=2**16)
    if isinstance(engine, BrokenEngine):
        engine.broken = True
    statuses = await every_path(service)
    await hang_up(service)
    assert statuses >= ({404, 405, 422, 500} if broken else {200, 404, 405, 422, 502, 503, 504})
    written = json.dumps(logged(), ensure_ascii=False)
    assert len(logged()) > 30
    metrics = (await service.get("/metrics")).body.decode()
    for marker in (MARKER, LATIN):
        assert marker not in written
        assert marker not in metrics


async def test_the_log_of_a_broken_stream_holds_no_text(start: Start, logged: Logged) -> None:
    service = await start(Script(text=f"Велосипед {MARKER} {LATIN}. " * 500, token_s=0.002))
    async with service.streaming(**MARKED) as (_, events):
        await anext(events)
    await becomes(lambda: service.idle)
    assert MARKER not in json.dumps(logged(), ensure_ascii=False)


async def test_every_request_leaves_one_access_line(service: LiveService, logged: Logged) -> None:
    answer = await service.describe(headers={"X-Request-Id": "front-1"})
    await service.events(headers={"X-Request-Id": "front-2"})
    await service.describe(title="", headers={"X-Request-Id": "front-3"})
    await service.settled()
    lines = {line["request_id"]: line for line in logged() if line["logger"] == "access"}
    assert list(lines) == ["front-1", "front-2", "front-3"]
    good, streamed, bad = lines.values()
    assert (good["method"], good["path"], good["status"], good["code"]) == ("POST", "/describe", 200, None)
    assert (good["model_version"], good["finish"]) == ("a", "stop")
    assert good["generation_id"] == answer.json["id"]
    assert good["duration_ms"] >= answer.json["timings_ms"]["total"]
    assert streamed["status"] == 200
    assert (bad["status"], bad["code"]) == (422, "invalid_request")
    assert all(line["timestamp"].endswith("Z") and line["level"] == "info" for line in lines.values())


async def test_a_stream_that_ends_in_an_error_is_logged_with_its_code(start: Start, logged: Logged) -> None:
    service = await start(Script(text=TEXT, fault="abort", fault_after=9))
    await service.events(headers={"X-Request-Id": "front-9"})
    await service.settled()
    (line,) = [line for line in logged() if line["logger"] == "access"]
    assert (line["request_id"], line["code"]) == ("front-9", "engine_aborted")


async def test_probes_that_succeed_are_not_logged(service: LiveService, logged: Logged) -> None:
    for path in ("/healthz", "/metrics"):
        await service.get(path)
    assert [line for line in logged() if line["logger"] == "access"] == []


async def test_request_ids_do_not_mix_between_requests_at_once(start: Start, logged: Logged) -> None:
    service = await start(Script(text=TEXT, token_s=0.003))
    names = [f"r-{n}" for n in range(20)]
    answers = await asyncio.gather(*(service.describe(headers={"X-Request-Id": name}) for name in names))
    await service.settled()
    ids = {line["request_id"]: line["generation_id"] for line in logged() if line["logger"] == "access"}
    assert ids == {name: answer.json["id"] for name, answer in zip(names, answers, strict=True)}


def test_a_librarys_exception_is_logged_by_type_and_place(logged: Logged) -> None:
    try:
        raise ValueError(MARKER)
    except ValueError:
        logging.getLogger("some.library").exception("it failed")
    (line,) = logged()
    assert line["event"] == "it failed"
    assert line["exception"]["type"] == "ValueError"
    assert "test_telemetry.py" in line["exception"]["frames"][0]
    assert MARKER not in str(line)
