"""What a request says: its body, validated, and the headers that mean something here."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from service.errors import InvalidRequest
from service.settings import Settings

Body = TypeVar("Body", bound=BaseModel)
MALFORMED = "the request does not match the contract, see errors"
MAX_FAULTS = 50
NOT_JSON = {"loc": ["header", "Content-Type"], "msg": "must be application/json"}


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
        raise InvalidRequest(
            MALFORMED,
            errors=[{**fault, "loc": ["body", *fault["loc"]]} for fault in faults_of(error)],
        ) from None


def faults_of(error: ValidationError) -> list[dict[str, Any]]:
    """Return the first faults with their places; what the caller sent is not repeated."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
    return [
        {"loc": list(fault["loc"]), "msg": fault["msg"].removeprefix("Value error, ")} for fault in faults
    ]


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
