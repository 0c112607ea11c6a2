"""Every task becomes a POST route that answers as JSON or as server-sent events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.batch import batch_endpoint
from service.call import AnyTask, Call, Done
from service.errors import ServiceError
from service.events import ClientClosed, EventStream, as_service_error, note_outcome, until_disconnect
from service.intake import deadline_s, pinned_version, read_body, wants_stream
from service.runner import Runner
from service.settings import Settings
from service.shapes.batch import ITEMS_MAX, BatchRequest, BatchResponse
from service.tasks import TASKS

PROBLEM = "application/problem+json"
PROBLEMS = {
    404: "Unknown model version",
    413: "Body too large",
    422: "Malformed request",
    429: "Full, see Retry-After",
    502: "Bad model answer",
    503: "Engine down",
    504: "Too late",
}


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

    return _safely(endpoint)


def _safely(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Let known errors pass and turn any other one, whose text never leaves the service, into a plain 500."""

    async def safely(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (ServiceError, ClientClosed):
            raise
        except Exception as error:
            raise as_service_error(error) from None

    return safely


def batched_endpoint(task: AnyTask, runner: Runner, settings: Settings) -> Callable[..., Awaitable[Response]]:
    """Build the batch endpoint of one task."""

    async def endpoint(request: Request) -> Response:
        return await batch_endpoint(request, task, runner, settings)

    return _safely(endpoint)


def request_body(name: str, example: dict[str, Any]) -> dict[str, Any]:
    """Return OpenAPI's description of a body; its schema is among the components (see `schemas`)."""
    schema = {"$ref": f"#/components/schemas/{name}", "examples": [example]}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def schemas() -> dict[str, Any]:
    """Return the JSON schemas of all requests by name, for OpenAPI's components."""
    _, found = models_json_schema(
        [(model, "validation") for task in TASKS for model in (task.request, task.item) if model],
        ref_template="#/components/schemas/{model}",
    )
    batches = {_batch_name(task): _batch_schema(task.item) for task in TASKS if task.item}
    return {**found["$defs"], **batches}


def _batch_name(task: AnyTask) -> str:
    return task.request.__name__.replace("Request", "BatchRequest")


def _batch_schema(item: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a batch with its items' own, although they are checked one by one."""
    schema = BatchRequest.model_json_schema()
    schema["properties"]["items"]["items"] = {"$ref": f"#/components/schemas/{item.__name__}"}
    return schema


def add_tasks(app: FastAPI, runner: Runner, settings: Settings) -> None:
    """Give every task its route, and its batch route if it has one."""
    router = APIRouter()
    problem = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    responses: dict[int | str, dict[str, Any]] = {
        code: {"description": text, **problem} for code, text in PROBLEMS.items()
    }
    for task in TASKS:
        example = task.example.model_dump(exclude_defaults=True, by_alias=True, mode="json")
        router.add_api_route(
            task.path,
            task_endpoint(task, runner, settings),
            methods=["POST"],
            name=task.name,
            summary=task.summary,
            response_model=task.response,
            openapi_extra={"requestBody": request_body(task.request.__name__, example)},
            responses=responses,
        )
        if task.item:
            items = {"items": [{"item_id": "1", **example}]}
            router.add_api_route(
                f"{task.path}/batch",
                batched_endpoint(task, runner, settings),
                methods=["POST"],
                name=f"{task.name}_batch",
                summary=f"{task.summary}: up to {ITEMS_MAX} at once, each with its own fault or result",
                response_model=BatchResponse,
                openapi_extra={"requestBody": request_body(_batch_name(task), items)},
                responses=responses,
            )
    app.include_router(router)
