"""The HTTP edge: every Task becomes a POST route, JSON or events, cancelled when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.types import Receive, Scope, Send

from service.errors import InvalidRequest, ServiceError
from service.runner import AnyTask, Call, Done, Runner, Sentence
from service.settings import Settings
from service.tasks import TASKS

log = structlog.get_logger(__name__)
T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)
MALFORMED = "the request does not match the contract, see errors"
MAX_FAULTS = 50
PROBLEM = "application/problem+json"
NOT_JSON = {"loc": ["header", "Content-Type"], "msg": "must be application/json"}


class ClientClosed(Exception):
    """The client hung up; nobody is left to answer."""


def is_json(request: Request) -> bool:
    """Tell whether the body is declared as JSON."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return declared == "application/json" or (
        declared.startswith("application/") and declared.endswith("+json")
    )


async def read_body(request: Request, model: type[Body]) -> Body:
    """Return the validated body. Bad UTF-8, lone surrogates, NaN, deep nesting are the caller's faults too.

    Read here and not by FastAPI, which calls bad UTF-8 a 400 without a place, and takes longer.

    Raises:
        InvalidRequest: with every fault and its place.

    """
    if not is_json(request):
        raise InvalidRequest(MALFORMED, errors=[NOT_JSON])
    try:
        return model.model_validate(orjson.loads(await request.body()))
    except orjson.JSONDecodeError as error:
        fault = {"loc": ["body", error.pos], "msg": f"not valid JSON: {error.msg}"}
        raise InvalidRequest(MALFORMED, errors=[fault]) from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
        raise InvalidRequest(
            MALFORMED,
            errors=[
                {"loc": ["body", *fault["loc"]], "msg": fault["msg"].removeprefix("Value error, ")}
                for fault in faults
            ],
        ) from None


async def until_disconnect(receive: Receive, work: Awaitable[T]) -> T:
    """Await `work`, but cancel it as soon as the client disconnects.

    Raises:
        ClientClosed: after `work` was cancelled and has cleaned up.

    """
    working = asyncio.current_task()
    assert working is not None
    left = False

    async def gone() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        working.cancel()

    leaving = asyncio.create_task(gone())
    try:
        return await work
    except asyncio.CancelledError:
        if left and working.uncancel() == 0:
            raise ClientClosed from None
        raise
    finally:
        leaving.cancel()


class EventStream(Response):
    """Server-sent events of one call: `sentence`…, then `done` or `error`, never more after `error`."""

    media_type = "text/event-stream"

    def __init__(self, runner: Runner, call: Call) -> None:
        super().__init__(
            headers={
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                "X-Model-Version": call.version.name,
            }
        )
        del self.headers["content-length"]
        self.runner = runner
        self.call = call
        self.begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events. Faults before admission leave as plain problems with their own HTTP status."""
        try:
            await until_disconnect(receive, self._send_all(scope, send))
        except ClientClosed:
            if not self.begun:
                raise
            scope["state"]["code"] = "client_closed"  # the response has begun: no handler may answer now

    async def _send_all(self, scope: Scope, send: Send) -> None:
        async def event(name: str, data: bytes) -> None:
            body = b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
            await send({"type": "http.response.body", "body": body, "more_body": name == "sentence"})

        try:
            async with self.runner.admitted(self.call), aclosing(self.runner.run(self.call)) as events:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                self.begun = True
                async for item in events:
                    if isinstance(item, Sentence):
                        await event("sentence", orjson.dumps({"text": item.text}))
                    else:
                        note_outcome(scope, self.call, item)
                        await event("done", item.response.model_dump_json().encode())
        except Exception as error:
            if not self.begun:
                raise as_service_error(error) from None
            problem = as_service_error(error).problem(request_id=self.call.request_id)
            scope["state"]["code"] = problem["code"]
            await event("error", orjson.dumps(problem))


def as_service_error(error: Exception) -> ServiceError:
    """Return the error as the caller may see it; the text of an unknown one stays here."""
    if isinstance(error, ServiceError):
        return error
    log.error("unexpected error", exc_info=error)
    return ServiceError()


def note_outcome(scope: Scope, call: Call, done: Done) -> None:
    """Leave what the access log tells of an answer; nothing of its text."""
    scope["state"].update(
        model_version=call.version.name,
        generation_id=done.response.id,
        finish=call.finish,
        removed=len(call.removed),
        queue_ms=round(1000 * call.queue_s, 1),
    )


def deadline_s(request: Request, settings: Settings) -> float:
    """Read `X-Deadline-Ms`, bounded by the settings."""
    raw = request.headers.get("x-deadline-ms")
    if raw is None:
        return settings.default_deadline_s
    if not (raw.isascii() and raw.isdigit() and 0 < len(raw) < 10 and int(raw) > 0):
        raise InvalidRequest(
            "bad header",
            errors=[
                {"loc": ["header", "X-Deadline-Ms"], "msg": "must be a whole number of milliseconds above 0"}
            ],
        )
    return min(int(raw) / 1000, settings.max_deadline_s)


def pinned_version(request: Request, body: Any) -> str | None:
    """Read the version that the caller pins, in the body or in `X-Model-Version`."""
    header = request.headers.get("x-model-version")
    pinned: str | None = body.model_version
    if header and pinned and header != pinned:
        raise InvalidRequest(
            "two versions are pinned",
            errors=[{"loc": ["header", "X-Model-Version"], "msg": "differs from model_version in the body"}],
        )
    return pinned or header or None


def wants_stream(request: Request, body: Any) -> bool:
    """Tell whether the caller asked for server-sent events."""
    return bool(getattr(body, "stream", False)) or "text/event-stream" in request.headers.get("accept", "")


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
