"""An answer on its way out: as server-sent events, cancelled when the client leaves, faults as problems."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from typing import TypeVar

import orjson
import structlog
from fastapi import Response
from starlette.types import Receive, Scope, Send

from service.call import Call, Done, Sentence
from service.errors import ServiceError
from service.runner import Runner

log = structlog.get_logger(__name__)
T = TypeVar("T")


class ClientClosed(Exception):
    """The client hung up; nobody is left to answer."""


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
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(headers={**headers, "X-Model-Version": call.version.name})
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
