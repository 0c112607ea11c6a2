"""The engine boundary: the one small protocol behind which every language model answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict


class Message(TypedDict):
    """One turn of the prompt; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How one answer is drawn. Names and ranges are vLLM's; None leaves the engine's default.

    `json_schema`, `choice` and `regex` constrain the output; at most one of them is set.
    `logprobs` is the number of alternatives per token (0 = only the drawn token, None = none at all).
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    json_schema: dict[str, Any] | None = None
    choice: tuple[str, ...] | None = None
    regex: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One drawn token with its log-probability (natural logarithm)."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one request as the engine counted them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of the answer. The last one carries `finish_reason` ("stop" or "length").

    `usage` counts up to here where the engine tells it, and always in the last piece.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    logprobs: Sequence[TokenLogprob] = field(default=())


class Engine(Protocol):
    """Something that continues a conversation."""

    def generate(
        self, messages: Sequence[Message], *, sampling: Sampling, request_id: str, priority: int = 0
    ) -> AsyncGenerator[Delta, None]:
        """Stream the answer; closing the generator cancels the work in the engine.

        A lower `priority` value runs earlier. The stream ends after a Delta with a `finish_reason`;
        whatever keeps it from ending so is an `EngineError` (see `service.errors`).
        """
        ...

    async def health(self) -> None:
        """Answer one token, or raise an `EngineError`: a live process that cannot answer is not healthy."""
        ...

    async def load(self) -> int | None:
        """Return how many requests of anybody run or wait; None if it does not tell. Raises `EngineError`."""
        ...

    async def close(self) -> None:
        """Release connections and processes."""
        ...
