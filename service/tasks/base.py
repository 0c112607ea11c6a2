"""What a task is: a value that joins schemas with pure functions; the runner does everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from models.card import TaskSettings
from models.prompts import Message


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


NotBlank = AfterValidator(_not_blank)
VersionName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
UnitId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class TaskRequest(BaseModel):
    """Fields that every request shares; unknown fields are refused."""

    # strict: "1000" is no number and "yes" no boolean; a caller learns of it here, not from odd answers
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model_version: VersionName | None = Field(default=None, description="Serve exactly this version.")


class Usage(BaseModel):
    """Tokens as the engine counted them, over all attempts of the request."""

    prompt_tokens: int
    completion_tokens: int


class Experiment(BaseModel):
    """The experiment that chose the version."""

    id: str
    arm: str


class TaskResponse(BaseModel):
    """Fields that every answer shares."""

    id: str = Field(description="Of this generation; the key for feedback.")
    model_version: str
    experiment: Experiment | None = None
    usage: Usage
    timings_ms: dict[str, float] = Field(description="queue, first_sentence, engine, total")


@dataclass(frozen=True, slots=True)
class Removed:
    """A piece of the model's text that its reader held back, and the stable code of the reason."""

    text: str
    reason: str


class Reader(Protocol):
    """Turns the engine's stream into the task's answer; pure, one per attempt."""

    removed: list[Removed]

    @property
    def full(self) -> bool:
        """True once nothing more is wanted: the runner then stops the engine."""
        ...

    def feed(self, text: str) -> list[str]:
        """Take the next piece, return the sentences that may be shown now."""
        ...

    def flush(self, finish_reason: str) -> list[str]:
        """Take the end of the stream and the engine's reason for it, return the last sentences to show."""
        ...

    def fallback(self) -> list[str]:
        """Return the sentences to show when the last attempt is not usable."""
        ...

    def result(self) -> Mapping[str, Any]:
        """Return the task's own response fields."""
        ...

    @property
    def usable(self) -> bool:
        """False when nothing of this attempt can be shown, so that another may be made."""
        ...


Req = TypeVar("Req", bound=TaskRequest)
Res = TypeVar("Res", bound=TaskResponse)


@dataclass(frozen=True, kw_only=True)
class Task(Generic[Req, Res]):
    """One endpoint.

    `fields` feeds the prompt template, `settings` narrows the card's sampling to the request, `reader`
    builds the reader of one attempt from the request and the rendered prompt. `example` is shown in the
    documentation and answered once by every version before it serves, so that no user meets a cold engine.
    """

    name: str
    path: str
    summary: str
    request: type[Req]
    response: type[Res]
    fields: Callable[[Req], dict[str, Any]]
    settings: Callable[[Req, TaskSettings], TaskSettings]
    reader: Callable[[Req, Sequence[Message]], Reader]
    example: Req
    streams: bool = False
