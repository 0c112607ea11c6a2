"""/describe: a title, a category and parameters become a description that says nothing the seller did not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from service.labels import told_params
from service.shapes.describe import DescribeRequest, DescribeResponse
from service.tasks.base import Model, Prompt, Task
from service.tasks.description import DescriptionReader
from service.tasks.listing import Listing
from service.tasks.orders import heard
from service.tasks.reading import read

CHARS_PER_TOKEN_MIN = 2.0  # of the worst tokenizer met on Russian listings (Mistral v0.1: 2.1)
PHOTOS_UNSEEN = "captions_unavailable"


def fields(request: DescribeRequest) -> dict[str, Any]:
    """Return what the prompt template needs."""
    return {
        "title": request.title,
        "category": request.category or "",
        "params": told_params(request.params),
        "price": roubles(request.price),
        "tone": request.tone,
        "captions": [],
    }


def roubles(price: float | None) -> str:
    """Return «12 500 ₽», or nothing for a price that is not given or is zero."""
    if not price:
        return ""
    return f"{price:,.2f}".removesuffix(".00").replace(",", " ").replace(".", ",") + " ₽"


def prompts(request: DescribeRequest) -> tuple[Prompt, ...]:
    """Return the one question."""
    return (_prompt(heard(request)),)


def _prompt(request: DescribeRequest) -> Prompt:
    """Ask for no more tokens than `max_chars` can hold."""
    share = 0.5 if request.tone == "concise" else 1.0
    enough = int(share * request.max_chars / CHARS_PER_TOKEN_MIN) + 16
    return Prompt(section="describe", fields=fields(request), max_tokens=enough)


class DescribeReader(DescriptionReader):
    """The description's reader with the fields of the response."""

    def __init__(self, request: DescribeRequest) -> None:
        super().__init__(
            Listing(
                title=request.title,
                category=request.category or "",
                params=dict(request.params),
                price=request.price,
                price_text=roubles(request.price),
            ),
            max_chars=request.max_chars,
            complete=request.tone != "concise",
        )
        self._photos = len(request.photos)

    def result(self) -> dict[str, Any]:
        """Return the response's own fields."""
        skipped = [{"photo": index, "reason": PHOTOS_UNSEEN} for index in range(self._photos)]
        return {**super().result(), "skipped_photos": skipped}


async def answer(request: DescribeRequest, model: Model) -> AsyncGenerator[str | Mapping[str, Any], None]:
    """Yield the description's sentences, then the response's own fields."""
    request = heard(request)
    prompt = _prompt(request)
    reading = read(model, prompt, reader_of=lambda: DescribeReader(request))
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
)
