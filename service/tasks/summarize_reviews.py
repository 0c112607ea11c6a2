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
from typing import Any

import orjson

from service.errors import EngineError
from service.shapes.summarize_reviews import (
    ReviewIn,
    SubjectIn,
    SummarizeReviewsRequest,
    SummarizeReviewsResponse,
)
from service.tasks import review_summary
from service.tasks.aspects import Reading, Subject, read
from service.tasks.base import Model, Prompt, Task
from service.tasks.review_summary import SummaryReader
from service.tasks.reviews import Review, Sifted, sift
from service.tasks.topics import Topic, Topics, gather
from service.tasks.votes import collect, question

USABLE_MIN = 3
RESERVE_S, RESERVE_SHARE = 1.0, 0.15  # of the time, kept for the summary
LAST_S = 0.3  # before the deadline the summary is made by code
_LAYOUT = "1"  # of what is remembered of a summary


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
            finish = piece.finish_reason or finish
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
