"""Joins routes, middleware, error handler and life cycle into one ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from models.eyes import load_caption_card
from service.answers import Answers
from service.api import PROBLEM, add_tasks, schemas
from service.call import Version
from service.errors import ServiceError
from service.events import ClientClosed, as_service_error
from service.eyes import Eyes, Setup
from service.fetching import Fetcher
from service.middleware import Edge
from service.operations import add_operations
from service.photos import Decoder, Limits
from service.runner import Runner
from service.settings import Settings
from service.shapes.base import Problem
from service.sight import Sight
from service.telemetry import Metrics


def create_app(
    settings: Settings,
    versions: Mapping[str, Version],
    *,
    default: str,
    metrics: Metrics,
    answers: Answers | None = None,
) -> FastAPI:
    """Build the application over engines that already run; closing them is its lifespan's end.

    Without a store of `answers` they are kept in memory.
    """
    eyes = _eyes(settings)
    runner = Runner(
        versions,
        default=default,
        metrics=metrics,
        answers=answers,
        parallel=settings.max_parallel,
        sight=Sight(*_decoding(settings), eyes),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(eyes.start()) if eyes else None  # seconds; nobody waits for it
        probes = [asyncio.create_task(_watch(runner, v, settings)) for v in versions.values()]
        try:
            yield
        finally:
            ending = [*probes, loading] if loading else probes
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            for version in versions.values():
                await version.engine.close()
            if runner.sight:
                await runner.sight.close()
            runner.answers.close()

    app = FastAPI(title="Listing language models", version="1", lifespan=lifespan, redoc_url=None)
    app.state.runner, app.state.settings, app.state.eyes = runner, settings, eyes
    app.add_middleware(Edge, metrics=metrics, max_body_bytes=settings.max_body_bytes)
    for kind in (ServiceError, HTTPException, ClientClosed, Exception):
        app.add_exception_handler(kind, _answer_error)
    add_tasks(app, runner, settings)
    add_operations(app, runner, settings)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _eyes(settings: Settings) -> Eyes | None:
    """Return the captioning model, not loaded yet. Raises CardError."""
    if not settings.eyes:
        return None
    return Eyes(
        load_caption_card(settings.eyes),
        Setup(
            cache=settings.cache,
            num_threads=settings.eyes_threads,
            device=settings.eyes_device,
            timeout_s=settings.eyes_timeout_s,
        ),
    )


def _decoding(settings: Settings) -> tuple[Decoder, Fetcher]:
    decoder = Decoder(
        Limits(max_bytes=settings.photo_max_bytes),
        num_workers=settings.photo_workers,
        timeout_s=settings.photo_timeout_s,
    )
    fetcher = Fetcher(
        settings.photo_hosts, max_bytes=settings.photo_max_bytes, timeout_s=settings.photo_timeout_s
    )
    return decoder, fetcher


async def _watch(runner: Runner, version: Version, settings: Settings) -> None:
    while True:
        with suppress(Exception):  # a probe that fails is a state to show, never the end of the watch
            await runner.probe(version)
        await asyncio.sleep(settings.canary_interval_s)


async def _answer_error(request: Request, error: Exception) -> Response:
    """Turn any failure into a problem document: the only place where errors become responses."""
    state = request.scope["state"]
    if isinstance(error, ClientClosed):
        state["code"] = "client_closed"
        return Response(status_code=499)
    if isinstance(error, HTTPException):
        known = ServiceError(str(error.detail))
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        body = {
            **known.problem(request_id=state["request_id"]),
            "status": error.status_code,
            "type": f"urn:problem:{code}",
            "code": code,
            "title": str(error.detail),
        }
        headers = dict(error.headers or {})
    else:
        known = as_service_error(error)
        body = known.problem(request_id=state["request_id"])
        headers = (
            {} if known.retry_after_s is None else {"Retry-After": str(max(1, round(known.retry_after_s)))}
        )
    state["code"] = body["code"]
    if version := state.get("model_version"):
        headers["X-Model-Version"] = version
    return Response(orjson.dumps(body), status_code=body["status"], media_type=PROBLEM, headers=headers)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schema["components"]["schemas"] |= {**schemas(), "Problem": Problem.model_json_schema()}
        app.openapi_schema = schema
    return app.openapi_schema
