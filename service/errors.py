"""Every failure a caller can see, each with its HTTP status and a stable code.

    ServiceError (500 internal_error)
    ├── UnknownModelVersion     404 unknown_model_version
    ├── PayloadTooLarge         413 payload_too_large
    ├── InvalidRequest          422 invalid_request       (errors: [{loc, msg}])
    ├── Overloaded              429 overloaded            (Retry-After)
    ├── DeadlineExceeded        504 deadline_exceeded
    ├── Draining                503 draining              (Retry-After)
    └── EngineError
        ├── EngineRejected      502 engine_rejected       the engine refused the request as malformed
        ├── EngineAborted       502 engine_aborted        the engine gave the answer up half-way
        ├── EngineOverloaded    503 engine_overloaded     its own queue is full (Retry-After)
        └── EngineDown          503 engine_down           unreachable, broken connection, starting

`started` on an EngineError tells whether the engine had sent a byte: until then another replica may be tried.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ServiceError(Exception):
    """Base of the tree; `detail` is safe to show to the caller and never holds users' texts."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    usual_retry_s: ClassVar[float | None] = None  # when it is worth trying again, unless the case says better

    def __init__(self, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after_s = self.usual_retry_s if retry_after_s is None else retry_after_s

    def problem(self, *, request_id: str) -> dict[str, Any]:
        """Return the RFC 9457 problem document."""
        return {
            "type": f"urn:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }


class UnknownModelVersion(ServiceError):
    """The request pins a version that is not live."""

    status = 404
    code = "unknown_model_version"
    title = "Unknown model version"


class PayloadTooLarge(ServiceError):
    """The body is over the configured number of bytes."""

    status = 413
    code = "payload_too_large"
    title = "Payload too large"


class InvalidRequest(ServiceError):
    """The request is malformed; `errors` names each place."""

    status = 422
    code = "invalid_request"
    title = "Invalid request"

    def __init__(self, detail: str = "", *, errors: list[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.errors = errors

    def problem(self, *, request_id: str) -> dict[str, Any]:
        """Return the problem document with the list of faults."""
        return {**super().problem(request_id=request_id), "errors": self.errors}


class Overloaded(ServiceError):
    """All places in flight and in the queue are taken."""

    status = 429
    code = "overloaded"
    title = "Too many requests"
    usual_retry_s = 1.0


class Draining(ServiceError):
    """The process is shutting down and takes no new work."""

    status = 503
    code = "draining"
    title = "Shutting down"
    usual_retry_s = 5.0


class DeadlineExceeded(ServiceError):
    """The answer was not ready when the request's deadline passed."""

    status = 504
    code = "deadline_exceeded"
    title = "Deadline exceeded"


class EngineError(ServiceError):
    """The engine failed; `started` is True once it had sent a byte of the answer."""

    status = 502
    code = "engine_error"
    title = "Engine error"

    def __init__(
        self, detail: str = "", *, started: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.started = started


class EngineRejected(EngineError):
    """The engine answered 4xx: the request itself is at fault, no replica would take it."""

    code = "engine_rejected"
    title = "Engine rejected the request"


class EngineAborted(EngineError):
    """The engine ended the answer with `finish_reason: abort` or in the middle of a stream."""

    code = "engine_aborted"
    title = "Engine aborted the answer"


class EngineOverloaded(EngineError):
    """The engine's own queue is full."""

    status = 503
    code = "engine_overloaded"
    title = "Engine overloaded"
    usual_retry_s = 1.0


class EngineDown(EngineError):
    """The engine cannot be reached, broke the connection or is still starting."""

    status = 503
    code = "engine_down"
    title = "Engine down"
    usual_retry_s = 10.0
