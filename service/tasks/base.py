"""What a task is: a value that joins schemas with pure functions; the runner does everything else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from models.card import Card
from service.answers import Answers
from service.errors import EngineError
from service.shapes.base import TaskRequest, TaskResponse
from service.sight import Shown, Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to the model: a section of the card's tasks, its fields, and how the answer is bound.

    `max_tokens` narrows the card's; `schema` (JSON schema) or `choice` bind the answer; with `logprobs` the
    answer carries its tokens. A further `attempt` is drawn more freely, else it would repeat the first.
    With `remembered` the whole answer comes from the store when the same card was asked the same before.
    """

    section: str
    fields: Mapping[str, Any]
    max_tokens: int | None = None
    schema: Mapping[str, Any] | None = None
    choice: tuple[str, ...] | None = None
    logprobs: bool = False
    attempt: int = 0
    remembered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One drawn token with its log-probability (natural logarithm)."""

    text: str
    logprob: float


class Piece(Protocol):
    """A piece of an answer; the engine's own, not wrapped: this is the path of every token."""

    @property
    def text(self) -> str:
        """What is added to the answer."""
        ...

    @property
    def finish_reason(self) -> str | None:
        """Of the last piece: "stop", or "length" when the token limit cut the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer of the model; `finish` is "stop", or "length" when the token limit cut it."""

    text: str
    finish: str
    tokens: tuple[Token, ...] = ()


class Model(Protocol):
    """The model version that serves one request, as its task sees it. Failures are `EngineError`s."""

    @property
    def card(self) -> Card:
        """The card of the version."""
        ...

    @property
    def shown(self) -> Shown:
        """What came of the request's photos."""
        ...

    @property
    def answers(self) -> Answers:
        """The store of what was answered before; of all versions, so a key has to depend on `identity`."""
        ...

    def identity(self, section: str) -> str:
        """Return the hash of all that decides an answer but the fields: weights, prompt file, sampling."""
        ...

    def left_s(self) -> float:
        """Return the seconds until the request's deadline."""
        ...

    def held_back(self, reason: str) -> None:
        """Count a piece of the model's text that is not shown, by the stable code of the reason."""
        ...

    def useless(self) -> None:
        """Count an attempt of which nothing can be shown."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """Draw an answer piece by piece; closing the generator stops the engine."""
        ...

    async def ask(self, prompt: Prompt) -> Answer:
        """Draw a whole answer."""
        ...

    def spread(self, prompts: Sequence[Prompt]) -> AsyncGenerator[tuple[int, Answer | EngineError], None]:
        """Ask several at once, as far as there is room before the engine; yield (index, answer) as they come.

        One runs on the request's own place, further ones only on places that nobody waits for.
        """
        ...


Req = TypeVar("Req", bound=TaskRequest)
Res = TypeVar("Res", bound=TaskResponse)


@dataclass(frozen=True, kw_only=True)
class Task(Generic[Req, Res]):
    """One endpoint.

    `answer` yields checked sentences that may be shown at once (only for a task that streams) and at last a
    mapping with the response's own fields. `prompts` are the questions that a request may lead to: asked
    for the example at start, so that a template that does not fit is found before a user finds it.
    `example` is shown in the documentation and answered once by every version before it serves, so that no
    user meets a cold engine. With `item` there is a batch endpoint too, of such items. `look`
    looks at a request's photos before the model is asked.
    """

    name: str
    path: str
    summary: str
    request: type[Req]
    response: type[Res]
    prompts: Callable[[Req], Sequence[Prompt]]
    answer: Callable[[Req, Model], AsyncGenerator[str | Mapping[str, Any], None]]
    example: Req
    streams: bool = False
    item: type[Req] | None = None
    look: Callable[[Req, Sight], Awaitable[Shown]] | None = None
