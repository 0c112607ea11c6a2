"""Every task becomes a POST route that answers as JSON or as server-sent events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic.json_schema import models_json_schema

from service.call import AnyTask, Call, Done
from service.errors import ServiceError
from service.events import ClientClosed, EventStream, as_service_error, note_outcome, until_disconnect
from service.intake import deadline_s, pinned_version, read_body, wants_stream
from service.runner import Runner
from service.settings import Settings
from service.tasks import TASKS

PROBLEM = "application/problem+json"


def task_endpoint(task: AnyTask, runner: Runner, settings: Settings) -> Callable[..., Awaitable[Response]]:
    """Build the endpoint of one task."""

    async def answer(call: Call, request: Request) -> Response:
        async with runner.admitted(call), aclosing(runner.run(call)) as events:
            async for item in events:
                if isinstance(item, Done):
                    note_outcome(request.scope, call, item)
                    return Response(
                        item.response.model_dump_json().encode(),
                        media_type="application/json",
                        headers={"X-Model-Version": call.version.name},
                    )
        raise ServiceError  # a run always ends with Done

    async def endpoint(request: Request) -> Response:
        body = await read_body(request, task.request)
        call = runner.call(
            task,
            body,
            request_id=request.scope["state"]["request_id"],
            pinned=pinned_version(request, body),
            deadline_s=deadline_s(request, settings),
        )
        request.scope["state"]["model_version"] = call.version.name
        if task.streams and wants_stream(request, body):
            return EventStream(runner, call)
        return await until_disconnect(request.receive, answer(call, request))

    async def safely(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (ServiceError, ClientClosed):
            raise
        except Exception as error:
            raise as_service_error(error) from None

    return safely


def request_body(task: AnyTask) -> dict[str, Any]:
    """Return OpenAPI's description of a task's body; its schema is among the components (see `schemas`)."""
    schema = {
        "$ref": f"#/components/schemas/{task.request.__name__}",
        "examples": [task.example.model_dump(exclude_defaults=True)],
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def schemas() -> dict[str, Any]:
    """Return the JSON schemas of all requests by name, for OpenAPI's components."""
    _, found = models_json_schema(
        [(task.request, "validation") for task in TASKS], ref_template="#/components/schemas/{model}"
    )
    return dict(found["$defs"])


def add_tasks(app: FastAPI, runner: Runner, settings: Settings) -> None:
    """Give every task its route."""
    router = APIRouter()
    problem = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for task in TASKS:
        router.add_api_route(
            task.path,
            task_endpoint(task, runner, settings),
            methods=["POST"],
            name=task.name,
            summary=task.summary,
            response_model=task.response,
            openapi_extra={"requestBody": request_body(task)},
            responses={
                code: {"description": text, **problem}
                for code, text in {
                    404: "Unknown model version",
                    413: "Body too large",
                    422: "Malformed request",
                    429: "Full, see Retry-After",
                    502: "Bad model answer",
                    503: "Engine down",
                    504: "Too late",
                }.items()
            },
        )
    app.include_router(router)
