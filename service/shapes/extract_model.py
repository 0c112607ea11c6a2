"""What /extract-model takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
)

from service.shapes.base import TaskRequest, TaskResponse, UnitId

Reason = Literal["not_stated", "ambiguous", "several_products"]


class ExtractModelRequest(TaskRequest):
    """A listing; what is empty may be left out."""

    title: Annotated[str, StringConstraints(max_length=500)] = ""
    description: Annotated[str, StringConstraints(max_length=20_000)] | None = None
    category: Annotated[str, StringConstraints(max_length=200)] | None = None
    params: dict[
        Annotated[str, StringConstraints(max_length=100)], Annotated[str, StringConstraints(max_length=2000)]
    ] = Field(default_factory=dict, max_length=100)
    seller_id: UnitId | None = None


class Evidence(BaseModel):
    """Where the model stands: offsets in code points, in the value of `param` where the field is params."""

    field: Literal["title", "description", "params"]
    start: int
    end: int
    text: str
    param: str | None = None


class ExtractModelResponse(TaskResponse):
    """The model, or null and why."""

    model: str | None = Field(description="Exactly as it stands in the listing.")
    brand: str | None = Field(description="As it stands in the listing, or implied by the model's family.")
    model_key: str | None = Field(description="Equal for two spellings of one model.")
    confidence: float = Field(ge=0, le=1, description="Probability that the answer is right, calibrated.")
    evidence: list[Evidence]
    reason: Reason | None = Field(description="Why there is no model.")
    normalizer_version: str


class ExtractModelItem(ExtractModelRequest):
    """A listing of a batch; `item_id` comes back with its answer."""

    item_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | int
