"""The operations' endpoints: health, readiness, versions, documentation, metrics."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.card import load_card
from service.engine.fake import FakeEngine, Script
from tests.conftest import Start
from tests.service.live_service import CARD, TEXT, LiveService, becomes

OPENAPI = Path(__file__).parents[1] / "golden" / "openapi.json"
REGENERATE = "UPDATE_GOLDEN"
METRICS = {
    "llm_requests_total": {"task", "model_version", "code"},
    "llm_errors_total": {"path", "code"},
    "llm_request_duration_seconds_bucket": {"task", "model_version", "le"},
    "llm_time_to_first_sentence_seconds_bucket": {"task", "model_version", "le"},
    "llm_queue_wait_seconds_bucket": {"task", "model_version", "le"},
    "llm_queued_requests": {"model_version"},
    "llm_in_flight_requests": {"model_version"},
    "llm_tokens_total": {"task", "model_version", "kind"},
    "llm_guard_drops_total": {"task", "model_version", "reason"},
    "llm_finish_total": {"task", "model_version", "finish"},
    "llm_engine_up": {"model_version"},
    "llm_engine_canary_age_seconds": {"model_version"},
}


async def ready(service: LiveService) -> bool:
    return (await service.get("/readyz")).status == 200


async def until_ready(service: LiveService, *, wanted: bool = True) -> None:
    async with asyncio.timeout(5):
        while await ready(service) != wanted:
            await asyncio.sleep(0.01)


async def test_healthz_tells_that_the_process_lives(start: Start) -> None:
    service = await start(Script(fault="down"))
    answer = await service.get("/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_readyz_follows_the_engines_canary(start: Start) -> None:
    service = await start(canary_interval_s=0.02, ready_max_age_s=0.5)
    await until_ready(service)
    assert (await service.get("/readyz")).json["status"] == "ready"
    service.engine.go_down()
    await until_ready(service, wanted=False)
    answer = await service.get("/readyz")
    assert answer.status == 503
    assert answer.json["versions"]["a"]["ready"] is False
    assert answer.json["versions"]["b"]["ready"] is True
    assert await service.sample("llm_engine_up", model_version="a") == 0
    service.engine.come_up()
    await until_ready(service)
    assert await service.sample("llm_engine_up", model_version="a") == 1


async def test_readyz_is_503_before_the_first_canary_was_answered(start: Start) -> None:
    engine = FakeEngine()
    engine.go_down()
    service = await start(engine=engine, canary_interval_s=0.02)
    answer = await service.get("/readyz")
    assert answer.status == 503
    assert answer.json["versions"]["a"]["canary_age_s"] is None
    engine.come_up()
    await until_ready(service)


async def test_models_shows_every_live_version_and_its_card(service: LiveService) -> None:
    body = (await service.get("/models")).json
    assert body["default"] == "a"
    assert [(model["model_version"], model["default"]) for model in body["models"]] == [
        ("a", True),
        ("b", False),
    ]
    card = load_card(CARD)
    for model in body["models"]:
        assert model["card"] == card.model_dump(mode="json")
        assert {"licence", "tokenizer_sha256", "tasks", "evaluation"} <= model["card"].keys()


async def test_the_documentation_is_served(service: LiveService) -> None:
    answer = await service.get("/docs")
    assert answer.status == 200
    assert "openapi.json" in answer.body.decode()


async def test_the_openapi_document_is_the_pinned_one(service: LiveService) -> None:
    served = json.dumps((await service.get("/openapi.json")).json, ensure_ascii=False, indent=2) + "\n"
    if os.environ.get(REGENERATE):
        OPENAPI.write_text(served, encoding="utf-8")
    pinned = OPENAPI.read_text(encoding="utf-8")
    assert served == pinned, (
        f"the HTTP contract has changed; if that is meant, run the test with {REGENERATE}=1 and read the diff"
    )


async def test_the_documented_schemas_are_the_ones_that_are_answered(service: LiveService) -> None:
    document = (await service.get("/openapi.json")).json
    post = document["paths"]["/describe"]["post"]
    assert post["requestBody"]["required"] is True
    assert post["responses"].keys() >= {"200", "404", "413", "422", "429", "502", "503", "504"}
    schema = document["components"]["schemas"]["DescribeResponse"]
    assert schema["properties"].keys() == (await service.describe()).json.keys()
    assert document["components"]["schemas"]["DescribeRequest"]["additionalProperties"] is False
    for answer in post["responses"].values():
        assert answer["content"]


async def test_the_documented_example_is_served(service: LiveService) -> None:
    document = (await service.get("/openapi.json")).json
    media = document["paths"]["/describe"]["post"]["requestBody"]["content"]["application/json"]
    (example,) = media["schema"].get("examples") or media["examples"]
    assert (await service.post(json.dumps(example))).status == 200


async def test_metrics_have_their_names_and_labels(service: LiveService) -> None:
    service.engine.script = Script(text=f"{TEXT} Звоните 8 912 345-67-89.")
    await service.describe()
    await service.describe(title="")
    text = (await service.get("/metrics")).body.decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    assert {name: found.get(name) for name in METRICS} == METRICS
    assert all(name.startswith("llm_") for name in found)
    info = await service.sample("llm_model_info")
    assert info == 0, "set where versions are brought up, see test_versions"


async def test_an_answer_is_counted_once_everywhere(service: LiveService) -> None:
    await service.describe()
    usage = (await service.describe()).json["usage"]
    await service.events()
    await service.settled()
    of = {"task": "describe", "model_version": "a"}
    assert await service.sample("llm_requests_total", **of, code="ok") == 3
    assert await service.sample("llm_request_duration_seconds_count", **of) == 3
    assert await service.sample("llm_time_to_first_sentence_seconds_count", **of) == 3
    assert await service.sample("llm_queue_wait_seconds_count", **of) == 3
    assert await service.sample("llm_tokens_total", **of, kind="completion") == 3 * usage["completion_tokens"]
    assert await service.sample("llm_tokens_total", **of, kind="prompt") == 3 * usage["prompt_tokens"]
    assert await service.sample("llm_errors_total") == 0


async def test_unknown_paths_and_versions_make_no_labels(service: LiveService) -> None:
    for n in range(20):
        assert (await service.get(f"/wp-admin/{n}.php")).status == 404
        assert (await service.describe(model_version=f"v{n}")).status == 404
        await service.request("PATCH", f"/describe?{n}")
    text = (await service.get("/metrics")).body.decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert {s.labels["path"] for s in samples if s.name == "llm_errors_total"} <= {"unknown", "/describe"}
    assert {s.labels["model_version"] for s in samples if "model_version" in s.labels} == {"a", "b"}
    assert await service.sample("llm_errors_total", path="unknown", code="not_found") == 20
    assert await service.sample("llm_errors_total", code="unknown_model_version") == 20


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/models", "/metrics", "/openapi.json"])
async def test_operations_answer_while_all_places_are_taken(start: Start, path: str) -> None:
    service = await start(Script(first_token_s=60), max_in_flight=1, max_queue=0)
    async with service.streaming():
        await becomes(lambda: service.gate.in_flight == 1)
        answer = await service.get(path)
        assert answer.status == 200
        assert answer.seconds < 0.5
