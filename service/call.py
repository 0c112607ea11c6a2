"""One request on its way: the live version that serves it, what is known of it so far, what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from models.card import Card
from service.admission import Gate
from service.engine.base import Engine
from service.shapes.base import TaskRequest, TaskResponse
from service.sight import NOTHING, Shown
from service.tasks.base import Task

AnyTask: TypeAlias = Task[Any, Any]


@dataclass(slots=True)
class Version:
    """A live version: its card, the engine that answers for it, the gate before the engine."""

    name: str
    card: Card
    engine: Engine
    gate: Gate
    identities: dict[str, tuple[Card, str]] = field(default_factory=dict)  # by section of the card's tasks
    canary_at: float | None = None  # monotonic seconds of the last answered canary


@dataclass(frozen=True, slots=True)
class Sentence:
    """Checked text that may be shown now."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a run: the whole response."""

    response: TaskResponse


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through the runner.

    `deadline` is of the event loop's clock; what is measured is of the finer performance counter.
    """

    task: AnyTask
    request: TaskRequest
    request_id: str
    version: Version
    arrived: float
    deadline_s: float
    deadline: float
    priority: int = 0  # at the engine; a lower one runs earlier
    queue_s: float = 0.0
    first_s: float | None = None
    photos_s: float | None = None  # spent on fetching, decoding and looking
    engine_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    recalled: int = 0  # questions answered from the store
    attempts: int = 0  # that were of no use
    removed: list[str] = field(default_factory=list)  # reasons only
    finish: str | None = None
    shown: Shown = NOTHING  # on the request's photos
