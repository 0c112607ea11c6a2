"""/describe: a title, a category and parameters become a description that says nothing the seller did not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from service.labels import told_params
from service.tasks.base import Model, NotBlank, Prompt, Task, TaskRequest, TaskResponse, UnitId
from service.tasks.description import DescriptionReader
from service.tasks.listing import Listing
from service.tasks.reading import read

CHARS_PER_TOKEN_MIN = 2.0  # of the worst tokenizer met on Russian listings (Mistral v0.1: 2.1)
MAX_PHOTO_CHARS = 15_000_000  # of base64: about 11 MB of picture
PHOTOS_UNSEEN = "captions_unavailable"

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
    """Return the one question, with no more tokens than `max_chars` can hold."""
    share = 0.5 if request.tone == "concise" else 1.0
    enough = int(share * request.max_chars / CHARS_PER_TOKEN_MIN) + 16
    return (Prompt(section="describe", fields=fields(request), max_tokens=enough),)


class DescribeReader(DescriptionReader):
    """The description's reader with the fields of the response."""

    def __init__(self, request: DescribeRequest, *, examples: Sequence[str]) -> None:
        super().__init__(
            Listing(
                title=request.title,
                category=request.category or "",
                params=dict(request.params),
                price=request.price,
                price_text=roubles(request.price),
            ),
            max_chars=request.max_chars,
            examples=examples,
        )
        self._photos = len(request.photos)

    def result(self) -> dict[str, Any]:
        """Return the response's own fields."""
        skipped = [{"photo": index, "reason": PHOTOS_UNSEEN} for index in range(self._photos)]
        return {**super().result(), "skipped_photos": skipped}


async def answer(request: DescribeRequest, model: Model) -> AsyncGenerator[str | Mapping[str, Any], None]:
    """Yield the description's sentences, then the response's own fields."""
    (prompt,) = prompts(request)
    examples = model.example_answers(prompt)
    reading = read(model, prompt, reader_of=lambda: DescribeReader(request, examples=examples))
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
