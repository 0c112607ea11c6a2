"""The outermost layer: request ids, the body limit, one access line and one error count for every request."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import PayloadTooLarge
from service.telemetry import Metrics

log = structlog.get_logger("access")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")  # anything else could forge log lines
DRAIN_FACTOR = 8  # times the limit: how much of a refused body is read before the answer
QUIET = {"/healthz", "/readyz", "/metrics"}  # probed every few seconds: logged only when they fail


class Edge:
    """Pure ASGI: a BaseHTTPMiddleware would hide the client's disconnect from the routes."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_body_bytes: int) -> None:
        self.app = app
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope["state"] = state = {**scope.get("state", {}), "request_id": request_id}
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, self._bounded(headers, receive), tagged)
        finally:
            code = state.pop("code", None)
            if code:
                self.metrics.errors.labels(_known_path(scope), code).inc()
            if scope["path"] not in QUIET or status >= 400:
                kept = {k: v for k, v in state.items() if k not in {"request_id"} and v is not None}
                log.info(
                    "request",
                    method=scope["method"],
                    path=_known_path(scope),
                    status=status,
                    code=code,
                    duration_ms=round(1000 * (time.perf_counter() - begun), 1),
                    **kept,
                )

    def _bounded(self, headers: Headers, receive: Receive) -> Receive:
        """Refuse a body over the limit, by its declared length or by what really comes.

        The rest is read and thrown away first, within bounds: a client that is still sending when the
        connection closes sees a broken pipe instead of the 413.
        """
        declared = headers.get("content-length", "")
        too_large = declared.isdigit() and int(declared) > self.max_body_bytes
        seen = 0

        async def counted() -> Message:
            nonlocal seen, too_large
            message = await receive()
            seen += len(message.get("body", b""))
            too_large = too_large or seen > self.max_body_bytes
            if not too_large:
                return message
            while message.get("more_body", False) and seen < DRAIN_FACTOR * self.max_body_bytes:
                message = await receive()
                seen += len(message.get("body", b""))
            raise PayloadTooLarge(f"the body may have {self.max_body_bytes} bytes at most")

        return counted


def _known_path(scope: Scope) -> str:
    """Return the route's path; an unknown one could hold anything and would make a label of its own."""
    route = scope.get("route")
    return str(getattr(route, "path", "unknown"))
