"""What the people on call ask: does it live, can it answer, which versions are live, how is it doing."""

from __future__ import annotations

import time
from typing import Any

import orjson
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.runner import Runner
from service.settings import Settings


def add_operations(app: FastAPI, runner: Runner, settings: Settings) -> None:
    """Add /healthz, /readyz, /models and /metrics."""

    def states() -> dict[str, dict[str, Any]]:
        now = time.monotonic()
        found = {}
        for version in runner.versions.values():
            age = None if version.canary_at is None else round(now - version.canary_at, 1)
            runner.metrics.canary_age.labels(version.name).set(float("inf") if age is None else age)
            found[version.name] = {
                "ready": age is not None and age <= settings.ready_max_age_s,
                "canary_age_s": age,
            }
        return found

    @app.get("/healthz", tags=["operations"], summary="The process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], summary="Every live version answered a one-token canary lately")
    async def readyz() -> Response:
        found = states()
        ready = all(state["ready"] for state in found.values())
        body = {"status": "ready" if ready else "not ready", "versions": found}
        return Response(orjson.dumps(body), status_code=200 if ready else 503, media_type="application/json")

    @app.get("/models", tags=["operations"], summary="Live versions and their cards")
    async def models() -> dict[str, Any]:
        found = states()
        return {
            "default": runner.default,
            "models": [
                {
                    "model_version": v.name,
                    "default": v.name == runner.default,
                    **found[v.name],
                    "card": v.card.model_dump(mode="json"),
                }
                for v in runner.versions.values()
            ],
        }

    @app.get("/metrics", tags=["operations"], include_in_schema=False)
    async def metrics() -> Response:
        states()
        return Response(generate_latest(runner.metrics.registry), media_type=CONTENT_TYPE_LATEST)
