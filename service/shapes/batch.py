"""What a batch of items takes and gives."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from service.shapes.base import VersionName

ITEMS_MAX = 256


class BatchRequest(BaseModel):
    """Items are checked one by one: a malformed one is answered with its own problem."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    items: list[Any] = Field(min_length=1, max_length=ITEMS_MAX)
    model_version: VersionName | None = None


class BatchItem(BaseModel):
    """One answer; `result` is the task's own response, `problem` an RFC 9457 document."""

    item_id: str | int | None
    status: Literal["ok", "error"]
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class BatchResponse(BaseModel):
    """As many items as were asked, in their order."""

    items: list[BatchItem]
