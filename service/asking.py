"""The model version behind one call, as its task sees it: renders, samples, asks, counts, remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any

from models.card import Card, TaskSettings
from models.prompts import Message, render
from service.answers import Answers
from service.call import Call
from service.engine.base import Delta, Sampling
from service.errors import EngineError
from service.remembered import identity, is_worth_keeping, key_of, pack, unpack
from service.sight import Shown
from service.spreading import side_by_side
from service.tasks.base import Answer, Piece, Prompt, Token

Outcome = tuple[int, Answer | EngineError]


class Asking:
    """The `tasks.base.Model` of one call; up to `parallel` of its questions run side by side."""

    def __init__(self, call: Call, *, answers: Answers, parallel: int) -> None:
        self.call = call
        self.answers = answers
        self._parallel = parallel
        self._rendered: tuple[str, Mapping[str, Any], list[Message]] = ("", {}, [])
        self._num_asked = self._num_running = 0
        self._busy_since = 0.0

    @property
    def card(self) -> Card:
        """The card of the version."""
        return self.call.version.card

    @property
    def shown(self) -> Shown:
        """What came of the request's photos."""
        return self.call.shown

    def identity(self, section: str) -> str:
        """Return the hash of all that decides an answer but the fields."""
        known = self.call.version.identities
        if (held := known.get(section)) is None or held[0] is not self.card:
            known[section] = held = (self.card, identity(self.card, section))
        return held[1]

    def left_s(self) -> float:
        """Return the seconds until the request's deadline."""
        return self.call.deadline - asyncio.get_running_loop().time()

    def held_back(self, reason: str) -> None:
        """Count a piece of the model's text that is not shown."""
        self.call.removed.append(reason)

    def useless(self) -> None:
        """Count an attempt of which nothing can be shown."""
        self.call.attempts += 1

    def _messages(self, prompt: Prompt) -> list[Message]:
        """Render a prompt; once for its question and a second attempt (the same fields)."""
        section, fields, messages = self._rendered
        if section != prompt.section or fields is not prompt.fields:
            messages = render(*self.card.tasks[prompt.section].template, prompt.fields)
            self._rendered = (prompt.section, prompt.fields, messages)
        return messages

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """Draw an answer piece by piece."""
        return self._draw(self._messages(prompt), sampling_of(self.card, prompt))

    async def ask(self, prompt: Prompt) -> Answer:
        """Draw a whole answer, or take it from the store if the prompt is to be remembered."""
        messages, sampling = self._messages(prompt), sampling_of(self.card, prompt)
        key = ""
        if prompt.remembered:
            key = key_of(self.identity(prompt.section), messages, sampling)
            if known := self.answers.get([key]).get(key):
                self.call.recalled += 1
                return unpack(known)
        texts: list[str] = []
        tokens: list[Token] = []
        finish = "stop"
        async with aclosing(self._draw(messages, sampling)) as deltas:
            async for delta in deltas:
                texts.append(delta.text)
                tokens += _tokens(delta)
                finish = delta.finish_reason or finish
        answer = Answer(text="".join(texts), finish=finish, tokens=tuple(tokens))
        if key and is_worth_keeping(answer, sampling):
            self.answers.put({key: pack(answer)})
        return answer

    async def spread(self, prompts: Sequence[Prompt]) -> AsyncGenerator[Outcome, None]:
        """Ask several at once as far as there is room; yield (index, answer or error) as they come."""
        jobs = [partial(self._one, index, prompt) for index, prompt in enumerate(prompts)]
        gate = self.call.version.gate
        async with aclosing(side_by_side(gate, jobs, parallel=self._parallel)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def _one(self, index: int, prompt: Prompt) -> Outcome:
        try:
            return index, await self.ask(prompt)
        except EngineError as error:
            return index, error

    async def _draw(self, messages: list[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Stream from the engine; tokens and time are counted even if the caller stops half-way."""
        call = self.call
        request_id = f"{call.request_id}-{self._num_asked}" if self._num_asked else call.request_id
        self._num_asked += 1
        usage = None
        stream = call.version.engine.generate(
            messages, sampling=sampling, request_id=request_id, priority=call.priority
        )
        try:
            with self._busy():
                async with aclosing(stream) as deltas:
                    async for delta in deltas:
                        usage = delta.usage or usage
                        yield delta
        finally:
            if usage is not None:
                call.prompt_tokens += usage.prompt_tokens
                call.completion_tokens += usage.completion_tokens

    @contextmanager
    def _busy(self) -> Generator[None, None, None]:
        """Count the time in which at least one question is at the engine."""
        if self._num_running == 0:
            self._busy_since = time.perf_counter()
        self._num_running += 1
        try:
            yield
        finally:
            self._num_running -= 1
            if self._num_running == 0:
                self.call.engine_s += time.perf_counter() - self._busy_since


def sampling_of(card: Card, prompt: Prompt) -> Sampling:
    """Translate a card's settings; a further attempt draws more freely, else it would repeat the first."""
    settings: TaskSettings = card.tasks[prompt.section]
    enough = settings.max_tokens if prompt.max_tokens is None else prompt.max_tokens
    return Sampling(
        max_tokens=min(settings.max_tokens, enough),
        temperature=settings.temperature if prompt.attempt == 0 else max(0.7, settings.temperature),
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        repetition_penalty=settings.repetition_penalty,
        frequency_penalty=settings.frequency_penalty,
        presence_penalty=settings.presence_penalty,
        stop=settings.stop,
        seed=settings.seed,
        logprobs=0 if prompt.logprobs else None,
        json_schema=dict(prompt.schema) if prompt.schema is not None else None,
        choice=prompt.choice,
    )


def _tokens(delta: Delta) -> list[Token]:
    return [Token(text=drawn.token, logprob=drawn.logprob) for drawn in delta.logprobs]
