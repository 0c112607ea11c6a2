"""/summarize-reviews: up to 10,000 reviews become what their authors agree on, with quotes to check it by.

Code reads every review and finds what it praises and blames; the model is asked where code is not certain,
and writes the summary. All that is shown was verified: each aspect stands on two reviews at least, each quote
is word for word, the summary names nothing but aspects.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from service.errors import EngineError
from service.tasks import review_summary
from service.tasks.aspects import Reading, Subject, read
from service.tasks.base import Model, NotBlank, Prompt, Task, TaskRequest, TaskResponse, UnitId
from service.tasks.review_summary import SummaryReader
from service.tasks.reviews import Review, Sifted, sift
from service.tasks.topics import Topic, Topics, gather
from service.tasks.votes import collect, question

USABLE_MIN = 3
RESERVE_S, RESERVE_SHARE = 1.0, 0.15  # of the time, kept for the summary
LAST_S = 0.3  # before the deadline the summary is made by code
NAMED_MAX = 5  # duplicated ids in an error
_LAYOUT = "1"  # of what is remembered of a summary


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


@dataclass(frozen=True, kw_only=True)
class _Read:
    """The readings that the answer rests on, and the skipped reviews by reason."""

    used: Sequence[Reading]
    votes: Mapping[str, int]
    skipped: Counter[str]


def prompts(request: SummarizeReviewsRequest) -> tuple[Prompt, ...]:
    """Return a question of each kind, as long as they get."""
    topics = tuple(Topic(name="соответствие описанию", count=2, quotes=()) for _ in range(8))
    summary = review_summary.prompts(
        Topics(pros=topics, cons=topics), kind=request.subject.kind, max_chars=request.max_chars
    )
    return (question("с пультом очень удобно, не надо вставать с кровати " * 4), *summary.values())


async def answer(
    request: SummarizeReviewsRequest, model: Model
) -> AsyncGenerator[str | Mapping[str, Any], None]:
    """Yield the summary's sentences, then the response's own fields."""
    reserve_s = max(RESERVE_S, RESERVE_SHARE * model.left_s())
    sifted, readings = await asyncio.to_thread(_read, request)
    skipped = sifted.skipped
    result = _Read(used=(), votes={}, skipped=skipped)
    if len(readings) >= USABLE_MIN:
        result = await _voted(model, readings, skipped, reserve_s=reserve_s)
    enough = len(result.used) >= USABLE_MIN
    if not enough:
        result.skipped["too_few"] = len(result.used if readings else sifted.kept)
    used = result.used if enough else ()
    topics = await asyncio.to_thread(gather, used, result.votes)
    reader = SummaryReader(topics, kind=request.subject.kind, max_chars=request.max_chars)
    if enough:
        async with aclosing(_told(request, model, reader)) as sentences:
            async for sentence in sentences:
                yield sentence
    yield {
        "summary": " ".join(reader.passed) if enough else None,
        "pros": [topic.told() for topic in topics.pros],
        "cons": [topic.told() for topic in topics.cons],
        "rating": _rating(sifted),
        "used_reviews": len(used),
        "skipped": [
            {"reason": reason, "count": count}
            for reason, count in sorted(result.skipped.items())
            if count or reason == "too_few"
        ],
        "partial": bool(result.skipped["not_read"] or result.skipped["engine_failed"]),
        "contradictory_reviews": sum(reading.contradictory for reading in used),
        "finish": reader.finish if enough else None,
    }


def _read(request: SummarizeReviewsRequest) -> tuple[Sifted, list[Reading]]:
    reviews = [Review(id=review.id, text=review.text, rating=review.rating) for review in request.reviews]
    sifted = sift(reviews)
    if len(sifted.kept) < USABLE_MIN:
        return sifted, []
    subject = Subject.of(request.subject.kind, request.subject.name)
    return sifted, [read(review, subject=subject) for review in sifted.kept]


async def _voted(
    model: Model, readings: Sequence[Reading], skipped: Counter[str], *, reserve_s: float
) -> _Read:
    """Ask the model what is open; what is used is a beginning of the reading order, so that it is fair."""
    open_ = {claim.folded: claim.text for reading in readings for claim in reading.claims if claim.open}
    votes = await collect(model, open_, reserve_s=reserve_s)
    used = []
    skipped = skipped.copy()
    for at, reading in enumerate(readings):
        asked = [claim.folded for claim in reading.claims if claim.open]
        if any(clause in votes.failed for clause in asked):
            skipped["engine_failed"] += 1
        elif all(clause in votes.known for clause in asked):
            used.append(reading)
        else:
            skipped["not_read"] += len(readings) - at
            break
    return _Read(used=used, votes=votes.known, skipped=skipped)


async def _told(
    request: SummarizeReviewsRequest, model: Model, reader: SummaryReader
) -> AsyncGenerator[str, None]:
    """Yield the summary's sentences: remembered, or the model's, and code's where these tell nothing."""
    key = _key(request, model, reader.topics)
    if known := (await asyncio.to_thread(model.answers.get, [key])).get(key):
        reader.finish, reader.passed = orjson.loads(known)
        for sentence in reader.passed:
            yield sentence
        return
    asked = review_summary.prompts(reader.topics, kind=request.subject.kind, max_chars=request.max_chars)
    whole = True
    for side, prompt in asked.items():
        try:
            async with aclosing(_drawn(prompt, model, reader)) as sentences:
                async for sentence in sentences:
                    yield sentence
        except (EngineError, TimeoutError):
            whole = False
        for sentence in reader.complete(side):
            yield sentence
    for sentence in reader.end():
        yield sentence
    for reason in reader.removed:
        model.held_back(reason)
    if whole:
        row = {key: orjson.dumps([reader.finish, reader.passed])}
        await asyncio.to_thread(model.answers.put, row)


async def _drawn(prompt: Prompt, model: Model, reader: SummaryReader) -> AsyncGenerator[str, None]:
    """Yield the model's sentences that pass. Raises EngineError; TimeoutError shortly before the deadline."""
    finish = "stop"
    async with aclosing(model.stream(prompt)) as pieces:
        while not reader.full:
            async with asyncio.timeout(model.left_s() - LAST_S):
                piece = await anext(pieces, None)
            if piece is None:
                break
            finish = piece.finish or finish
            for sentence in reader.feed(piece.text):
                yield sentence
    for sentence in reader.flush(finish):
        yield sentence


def _key(request: SummarizeReviewsRequest, model: Model, topics: Topics) -> str:
    """Return the key of a summary: it depends on nothing but what was counted."""
    counted = [[[topic.name, topic.count] for topic in side] for side in (topics.pros, topics.cons)]
    identity = model.identity(review_summary.SECTION)
    parts = [identity, _LAYOUT, request.subject.kind, request.max_chars, counted]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def _rating(sifted: Sifted) -> dict[str, Any]:
    rated = sifted.rated
    return {
        "mean": round(sum(rated) / len(rated), 2) if rated else None,
        "count": len(rated),
        "histogram": {str(stars): rated.count(stars) for stars in range(1, 6)},
    }


SUMMARIZE_REVIEWS: Task[SummarizeReviewsRequest, SummarizeReviewsResponse] = Task(
    name="summarize_reviews",
    path="/summarize-reviews",
    summary="Summarize the reviews of a product, a seller or a service",
    request=SummarizeReviewsRequest,
    response=SummarizeReviewsResponse,
    prompts=prompts,
    answer=answer,
    example=SummarizeReviewsRequest(
        subject=SubjectIn(kind="product", name="Настольная лампа"),
        reviews=[
            ReviewIn(id="1", text="Светит ярко, но провод короткий. Упаковка целая.", rating=5),
            ReviewIn(id="2", text="Достоинства: яркая Недостатки: короткий провод", rating=4),
            ReviewIn(id="3", text="Пришла в мятой упаковке, зато очень яркая!", rating=4),
            ReviewIn(id="4", text="Через неделю перестала работать кнопка.", rating=1),
        ],
    ),
    streams=True,
)
