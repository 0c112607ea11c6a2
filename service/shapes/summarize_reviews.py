"""What /summarize-reviews takes and gives."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

from service.shapes.base import NotBlank, TaskRequest, TaskResponse, UnitId

NAMED_MAX = 5  # duplicated ids in an error


class SubjectIn(BaseModel):
    """What the reviews are about."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["product", "seller", "service"]
    name: Annotated[str, StringConstraints(max_length=200), NotBlank]


class ReviewIn(BaseModel):
    """One review."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    text: Annotated[str, StringConstraints(max_length=20_000)]
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    date: Annotated[str, StringConstraints(max_length=100)] | None = None


class SummarizeReviewsRequest(TaskRequest):
    """The reviews of one subject; their order does not matter."""

    subject: SubjectIn
    reviews: list[ReviewIn] = Field(max_length=10_000)
    max_chars: int = Field(default=600, ge=100, le=3000, description="Of the summary.")
    stream: bool = False
    user_id: UnitId | None = None

    @field_validator("reviews")
    @classmethod
    def _ids_differ(cls, reviews: list[ReviewIn]) -> list[ReviewIn]:
        times = Counter(review.id for review in reviews)
        if len(times) < len(reviews):
            repeated = [name for name, count in times.items() if count > 1]
            more = f" and {len(repeated) - NAMED_MAX} more" if len(repeated) > NAMED_MAX else ""
            raise ValueError(f"duplicated review ids: {', '.join(map(repr, repeated[:NAMED_MAX]))}{more}")
        return reviews


class Quote(BaseModel):
    """Words of one review, exactly as they stand in it."""

    review_id: str
    text: str


class Aspect(BaseModel):
    """What several reviews speak of on one side; `count` is the number of reviews."""

    aspect: str
    count: int
    quotes: list[Quote]


class Rating(BaseModel):
    """The ratings of all reviews that have one, copies left out."""

    mean: float | None
    count: int
    histogram: dict[str, int]


class Skipped(BaseModel):
    """Reviews that the answer does not rest on."""

    reason: Literal["empty", "duplicate", "pasted", "not_read", "engine_failed", "too_few"] = Field(
        description="empty: nothing is said; duplicate: the text of another; pasted: text that stands word "
        "for word in several reviews, such as the shop's answer; not_read: the deadline came first; "
        "engine_failed: the model gave no answer; too_few: so few were left that nothing is summarized."
    )
    count: int


class SummarizeReviewsResponse(TaskResponse):
    """What the reviews agree on."""

    summary: str | None = Field(description="null if fewer than 3 reviews could be used.")
    pros: list[Aspect]
    cons: list[Aspect]
    rating: Rating
    used_reviews: int
    skipped: list[Skipped]
    partial: bool = Field(
        description="Some reviews were not read; asked again, the answer goes on from here."
    )
    contradictory_reviews: int = Field(
        description="Used reviews with 5 stars and only complaints, or 1-2 stars and only praise."
    )
    finish: Literal["stop", "length", "fallback"] | None = Field(
        description="Of the summary. stop: the model's own end; length: cut at a sentence's end by max_chars "
        "or the token limit; fallback: nothing of the model's text passed, code told the aspects; null: "
        "no summary."
    )
