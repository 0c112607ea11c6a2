"""The load: one request to the bare engine, one to the service, and many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from models.prompts import Message
from service.engine.base import Sampling
from service.engine.vllm import VllmEngine
from tests.bench.connection import Client, Reply

T = TypeVar("T")
R = TypeVar("R")


@dataclass(kw_only=True)
class Answer:
    """One answer as its client saw it; times in seconds from the moment of asking."""

    total_s: float = 0.0
    first_s: float = 0.0  # first sentence of the service; bare: the text first reached `mark` characters
    text: str = ""
    tokens: int = 0
    error: str | None = None
    done: dict[str, Any] = field(default_factory=dict)


async def ask_bare(
    engine: VllmEngine, messages: Sequence[Message], sampling: Sampling, *, mark: int = 1
) -> Answer:
    """Have the bare engine answer through the service's own client of it."""
    answer = Answer()
    begun = time.perf_counter()
    async with aclosing(engine.generate(messages, sampling=sampling, request_id="bare")) as deltas:
        async for delta in deltas:
            answer.text += delta.text
            if not answer.first_s and len(answer.text) >= mark:
                answer.first_s = time.perf_counter() - begun
            if delta.usage:
                answer.tokens = delta.usage.completion_tokens
    answer.total_s = time.perf_counter() - begun
    return answer


async def ask_served(client: Client, request: bytes) -> Answer:
    """POST /describe; what came is judged after the clock has stopped, JSON or events."""
    reply = await client.ask(request)
    answer = Answer(total_s=reply.total_s, first_s=reply.first_s)
    if reply.status != 200:
        answer.error = f"status {reply.status}"
        return answer
    if reply.headers[b"content-type"].startswith(b"application/json"):
        answer.done = orjson.loads(reply.body)
    else:
        sentences = _read_events(reply, answer)
        if answer.error:
            return answer
        if answer.done["finish"] != "fallback" and " ".join(sentences) != answer.done["description"]:
            answer.error = "sentences differ from the whole"
    answer.text = answer.done["description"]
    answer.tokens = answer.done["usage"]["completion_tokens"]
    return answer


def _read_events(reply: Reply, answer: Answer) -> list[str]:
    """Fill in `done` or the error; return the sentences."""
    answer.error = "no end"
    sentences: list[str] = []
    for event in reply.body.split(b"\n\n")[:-1]:
        name, _, data = event.partition(b"\ndata: ")
        content = orjson.loads(data)
        if name == b"event: sentence":
            sentences.append(content["text"])
        elif name == b"event: done":
            answer.done, answer.error = content, None
        else:
            answer.error = str(content.get("code"))
    return sentences


async def in_parallel(ask: Callable[[T], Awaitable[R]], items: Iterable[T], *, num_workers: int) -> list[R]:
    """Ask for every item, so many at once: as soon as one is answered the next is asked."""
    source = iter(items)
    answers: list[R] = []

    async def worker() -> None:
        for item in source:
            answer = await ask(item)
            answers.append(answer)

    async with asyncio.TaskGroup() as group:
        for _ in range(num_workers):
            group.create_task(worker())
    return answers
