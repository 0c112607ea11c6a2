"""What /describe takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from service.shapes.base import NotBlank, TaskRequest, TaskResponse, UnitId

MAX_PHOTO_CHARS = 15_000_000  # of base64: about 11 MB of picture


Title = Annotated[str, StringConstraints(max_length=200), NotBlank]


ParamName = Annotated[str, StringConstraints(max_length=100), NotBlank]


ParamValue = Annotated[str, StringConstraints(max_length=1000)]


class Photo(BaseModel):
    """A photo, inline or by address; exactly one of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    base64: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PHOTO_CHARS)] | None = None
    url: Annotated[str, StringConstraints(max_length=2000, pattern=r"^https?://\S+$")] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Photo:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("give either base64 or url")
        return self


class DescribeRequest(TaskRequest):
    """A listing as the seller filled it in."""

    title: Title
    category: Annotated[str, StringConstraints(max_length=200)] | None = None
    params: dict[ParamName, ParamValue] = Field(default_factory=dict, max_length=60)
    photos: list[Photo] = Field(default_factory=list, max_length=10)
    price: float | None = Field(default=None, ge=0, le=1e12, description="Roubles.")
    tone: Literal["neutral", "friendly", "concise"] = "neutral"
    max_chars: int = Field(default=1000, ge=100, le=3000)
    stream: bool = False
    seller_id: UnitId | None = None


class Label(BaseModel):
    """What a photo shows, with the score of the match (0-1)."""

    name: str
    score: float


class Caption(BaseModel):
    """One photo in words; `photo` is its index in the request."""

    photo: int
    text: str
    labels: list[Label]


class SkippedPhoto(BaseModel):
    """A photo that did not reach the prompt, and the code of the reason."""

    photo: int
    reason: str


class RemovedClaim(BaseModel):
    """A sentence of the model that was held back, and the code of the reason."""

    text: str
    reason: str


class DescribeResponse(TaskResponse):
    """The description and how it came about."""

    description: str
    captions: list[Caption] = Field(default_factory=list)
    skipped_photos: list[SkippedPhoto] = Field(default_factory=list)
    used_facts: list[str] = Field(description="What of the input stands in the description.")
    removed_claims: list[RemovedClaim]
    finish: Literal["stop", "length", "fallback"] = Field(
        description="stop: the model's own end; length: cut at a sentence's end by max_chars or the token "
        "limit; fallback: nothing of the model's text passed, the description is made of the parameters."
    )
