"""The load: one request to the bare engine, one to the service, and many at once; as cheap as may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import orjson

from models.prompts import Message
from service.engine.base import Sampling
from service.engine.vllm import VllmEngine

T = TypeVar("T")
R = TypeVar("R")
JSON = {"Content-Type": "application/json"}


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


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session without limits of its own."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=20)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=120)
    ) as session:
        yield session


async def ask_whole(session: aiohttp.ClientSession, url: str, body: bytes) -> Answer:
    """POST /describe and read the JSON."""
    begun = time.perf_counter()
    async with session.post(f"{url}/describe", data=body, headers=JSON) as response:
        content = await response.read()
    answer = Answer(total_s=time.perf_counter() - begun, done=orjson.loads(content))
    if response.status != 200:
        answer.error = str(answer.done.get("code", response.status))
        return answer
    return _complete(answer)


async def ask_stream(session: aiohttp.ClientSession, url: str, body: bytes) -> Answer:
    """POST /describe and read the events; the text is that of the sentences."""
    answer = Answer(error="no end")
    sentences: list[str] = []
    begun = time.perf_counter()
    try:
        async with session.post(f"{url}/describe", data=body, headers=JSON) as response:
            if response.status != 200:
                answer.error = f"status {response.status}"
                return answer
            tail = b""
            async for data in response.content.iter_any():
                *events, tail = (tail + data).split(b"\n\n")
                for event in events:
                    name, _, content = event.partition(b"\ndata: ")
                    if name == b"event: sentence":
                        answer.first_s = answer.first_s or time.perf_counter() - begun
                        sentences.append(orjson.loads(content)["text"])
                    elif name == b"event: done":
                        answer.done, answer.error = orjson.loads(content), None
                    else:
                        answer.error = str(orjson.loads(content).get("code"))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        answer.error = type(error).__name__
    answer.total_s = time.perf_counter() - begun
    if answer.error is None:
        _complete(answer)
        if answer.done["finish"] != "fallback" and " ".join(sentences) != answer.text:
            answer.error = "sentences differ from the whole"
    return answer


def _complete(answer: Answer) -> Answer:
    answer.text = answer.done["description"]
    answer.tokens = answer.done["usage"]["completion_tokens"]
    return answer


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
