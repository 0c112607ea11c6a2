"""/describe: a title, a category and parameters become a description that says nothing the seller did not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from service.labels import told_params
from service.shapes.describe import DescribeRequest, DescribeResponse
from service.sight import NOTHING, Shown, Sight
from service.sightings import INTRO
from service.tasks.base import Model, Prompt, Task
from service.tasks.description import DescriptionReader
from service.tasks.listing import ON_PHOTO, Listing
from service.tasks.orders import heard
from service.tasks.reading import read

CONTRADICTS = "photo_contradicts_seller"
CHARS_PER_TOKEN_MIN = 2.0  # of the worst tokenizer met on Russian listings (Mistral v0.1: 2.1)


def fields(request: DescribeRequest, captions: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the prompt template needs."""
    return {
        "title": request.title,
        "category": request.category or "",
        "params": told_params(request.params),
        "price": roubles(request.price),
        "tone": request.tone,
        "captions": [*captions],
    }


def roubles(price: float | None) -> str:
    """Return «12 500 ₽», or nothing for a price that is not given or is zero."""
    if not price:
        return ""
    return f"{price:,.2f}".removesuffix(".00").replace(",", " ").replace(".", ",") + " ₽"


def prompts(request: DescribeRequest) -> tuple[Prompt, ...]:
    """Return the one question."""
    return (_prompt(heard(request), NOTHING),)


def _prompt(request: DescribeRequest, shown: Shown) -> Prompt:
    """Ask for no more tokens than `max_chars` can hold."""
    share = 0.5 if request.tone == "concise" else 1.0
    enough = int(share * request.max_chars / CHARS_PER_TOKEN_MIN) + 16
    return Prompt(section="describe", fields=fields(request, _captions(shown)), max_tokens=enough)


class DescribeReader(DescriptionReader):
    """The description's reader with the fields of the response."""

    def __init__(self, request: DescribeRequest, shown: Shown) -> None:
        super().__init__(
            Listing(
                title=request.title,
                category=request.category or "",
                params=dict(request.params),
                price=request.price,
                price_text=roubles(request.price),
                captions=_captions(shown),
            ),
            max_chars=request.max_chars,
            complete=request.tone != "concise",
        )
        self._shown = shown

    def result(self) -> dict[str, Any]:
        """Return the response's own fields."""
        captions = [
            {
                "photo": index,
                "text": look.text,
                "labels": [{"name": label.name, "score": round(label.score, 4)} for label in look.labels],
            }
            for index, look in sorted(self._shown.looks.items())
        ]
        skipped = [{"photo": index, "reason": why} for index, why in sorted(self._shown.skipped.items())]
        told = super().result()
        against = [{"text": text, "reason": CONTRADICTS} for text in _contradicting(self._shown)]
        removed = [*told["removed_claims"], *against]
        return {**told, "captions": captions, "skipped_photos": skipped, "removed_claims": removed}


def _captions(shown: Shown) -> tuple[str, ...]:
    return (shown.caption.removeprefix(INTRO),) if shown.caption else ()


def _contradicting(shown: Shown) -> list[str]:
    return [f"{ON_PHOTO}: {one.label.name}" for one in shown.contradictions]


async def look(request: DescribeRequest, sight: Sight) -> Shown:
    """Look at the listing's photos, if it has any."""
    if not request.photos:
        return NOTHING
    return await sight.look(
        request.photos, title=request.title, category=request.category, params=request.params
    )


async def answer(request: DescribeRequest, model: Model) -> AsyncGenerator[str | Mapping[str, Any], None]:
    """Yield the description's sentences, then the response's own fields."""
    request = heard(request)
    shown = model.shown
    prompt = _prompt(request, shown)
    for _ in _contradicting(shown):
        model.held_back(CONTRADICTS)
    reading = read(model, prompt, reader_of=lambda: DescribeReader(request, shown))
    async with aclosing(reading) as items:
        async for item in items:
            yield item


DESCRIBE: Task[DescribeRequest, DescribeResponse] = Task(
    name="describe",
    path="/describe",
    summary="Write a listing's description",
    request=DescribeRequest,
    response=DescribeResponse,
    prompts=prompts,
    answer=answer,
    example=DescribeRequest(
        title="Велосипед Stels Navigator 500",
        category="Велосипеды",
        params={"Вид велосипеда": "Горные", "Диаметр колёс": '26"', "Состояние": "Б/у", "Цвет": "Синий"},
        price=8500,
    ),
    streams=True,
    look=look,
)
