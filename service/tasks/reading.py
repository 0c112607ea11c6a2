"""Reads one streamed answer: checked sentences as they come, another attempt when nothing serves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from service.tasks.base import Model, Prompt


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


async def read(
    model: Model, prompt: Prompt, *, reader_of: Callable[[], Reader]
) -> AsyncGenerator[str | Mapping[str, Any], None]:
    """Yield the sentences that the reader lets pass, then its result.

    As many attempts as the card allows; after the last one the reader's fallback is shown.
    """
    earlier: list[Removed] = []
    for attempt in range(model.card.tasks[prompt.section].attempts):
        reader = reader_of()
        reader.removed += earlier
        finish = "stop"
        async with aclosing(model.stream(replace(prompt, attempt=attempt))) as pieces:
            async for piece in pieces:
                finish = piece.finish_reason or finish
                for sentence in reader.feed(piece.text):
                    yield sentence
                if reader.full:
                    break
        for sentence in reader.flush(finish):
            yield sentence
        if reader.usable:
            break
        earlier = reader.removed
        model.useless()
    else:
        for sentence in reader.fallback():
            yield sentence
    for piece_removed in reader.removed:
        model.held_back(piece_removed.reason)
    yield reader.result()
