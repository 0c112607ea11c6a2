"""A scripted engine with timing and faults, so that everything above the engine is tested without a model."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from service.engine.base import Delta, Message, Sampling, TokenLogprob, Usage
from service.errors import EngineAborted, EngineDown, EngineError, EngineOverloaded, EngineRejected

_TOKEN = re.compile(r"\s*\S+|\s+")
_LOGPROB = -0.25
_MAX_LOGPROBS = 20  # vLLM's default --max-logprobs
_DEFAULT_TEXT = "Продаётся велосипед в хорошем состоянии. Все узлы исправны, царапин нет."

Fault = Literal["rejected", "overloaded", "down", "drop", "abort", "hang"]
_FAULTS_UNDER_WAY = ("drop", "abort", "hang")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a `FakeEngine` answers. A token is a word with the blanks before it.

    `rejected`, `overloaded` and `down` refuse at once; `drop` (broken connection), `abort` and `hang` come
    after `fault_after` tokens. The engine keeps to `choice`, `stop` and `max_tokens` by itself, and answers a
    `json_schema` with the first thing that fits it where the text is no JSON; a text that fits a `regex` is
    the script's to give.
    """

    text: str | Callable[[Sequence[Message]], str] = _DEFAULT_TEXT
    first_token_s: float = 0.0
    token_s: float = 0.0
    finish_reason: str = "stop"
    fault: Fault | None = None
    fault_after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    tokens: list[str]
    texts: list[str]  # what each token adds to the text: less than the token where a stop string cuts it
    finish_reason: str


class FakeEngine:
    """Answers by its `script`, which may be replaced between requests.

    Up to `slots` answers run at once, the rest wait in order of arrival; beyond `max_requests` waiting and
    running it is overloaded. `in_flight` counts both; `started`, `finished`, `failed` and `cancelled` count
    requests by outcome. Prompts are kept in `prompts` only when asked.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        slots: int | None = None,
        max_requests: int | None = None,
        context_length: int = 8192,
        keep_prompts: bool = False,
    ) -> None:
        self.script = script or Script()
        self.in_flight = self.started = self.finished = self.failed = self.cancelled = 0
        self.prompts: list[list[Message]] = []
        self._slots = asyncio.Semaphore(slots) if slots is not None else nullcontext()
        self._max_requests = math.inf if max_requests is None else max_requests
        self._context_length = context_length
        self._keep_prompts = keep_prompts
        self._down_until = 0.0

    @classmethod
    def from_url(cls, url: str) -> FakeEngine:
        """Build from `fake://?text=…&first_token_ms=20&token_ms=2&slots=16&max_requests=64`, all optional."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        known = {"text", "first_token_ms", "token_ms", "slots", "max_requests"}
        if parts.scheme != "fake" or not known >= options.keys():
            raise ValueError(f"a fake engine is fake://?… with any of {', '.join(sorted(known))}")
        script = Script(
            text=options.get("text", _DEFAULT_TEXT),
            first_token_s=float(options.get("first_token_ms", 0)) / 1000,
            token_s=float(options.get("token_ms", 0)) / 1000,
        )
        return cls(
            script,
            slots=int(options["slots"]) if "slots" in options else None,
            max_requests=int(options["max_requests"]) if "max_requests" in options else None,
        )

    def go_down(self, *, for_s: float = math.inf) -> None:
        """Break what runs and refuse all requests for a time, or until `come_up`."""
        self._down_until = time.monotonic() + for_s

    def come_up(self) -> None:
        """Answer again."""
        self._down_until = 0.0

    async def generate(
        self, messages: Sequence[Message], *, sampling: Sampling, request_id: str, priority: int = 0
    ) -> AsyncGenerator[Delta, None]:
        """Stream the script's answer at the script's pace."""
        script = self.script
        self._check_up(started=False)
        num_prompt_tokens = sum(len(_TOKEN.findall(message["content"])) for message in messages)
        self._check(sampling, num_prompt_tokens=num_prompt_tokens)
        answer = _compose(script, messages, sampling)
        if self._keep_prompts:
            self.prompts.append(list(messages))
        self.in_flight += 1
        self.started += 1
        complete = failed = False
        try:
            async with self._slots, aclosing(self._pace(script, len(answer.tokens))) as pace:
                sent = 0
                async for upto in pace:
                    complete = upto == len(answer.tokens)
                    yield Delta(
                        text="".join(answer.texts[sent:upto]),
                        logprobs=_logprobs(answer.tokens[sent:upto], sampling),
                        finish_reason=answer.finish_reason if complete else None,
                        usage=Usage(prompt_tokens=num_prompt_tokens, completion_tokens=upto),
                    )
                    sent = upto
        except EngineError:
            failed = True
            raise
        finally:
            self.in_flight -= 1
            self.finished += complete
            self.failed += failed
            self.cancelled += not complete and not failed

    async def health(self) -> None:
        """Raise what a request would meet before its first token."""
        self._check_up(started=False)
        self._check(Sampling(max_tokens=1), num_prompt_tokens=1)
        if self.script.fault in _FAULTS_UNDER_WAY and self.script.fault_after == 0:
            raise EngineDown("The engine gives no token")

    async def load(self) -> int | None:
        """Return how many requests run or wait."""
        return self.in_flight

    async def close(self) -> None:
        """Answer no more."""
        self.go_down()

    async def _pace(self, script: Script, num_tokens: int) -> AsyncGenerator[int, None]:
        """Yield how many tokens are due by now, from one to all.

        Due times are absolute: a late event loop catches up by larger pieces, so the rate stays as scripted.
        """
        faulty = script.fault in _FAULTS_UNDER_WAY
        limit = max(0, min(num_tokens - 1, script.fault_after)) if faulty else num_tokens
        begin = time.monotonic() + script.first_token_s
        sent = 0
        while sent < limit or not (faulty or sent):
            await asyncio.sleep(max(0.0, begin + sent * script.token_s - time.monotonic()))
            self._check_up(started=sent > 0)
            due = sent + 1
            if script.token_s > 0:
                due = max(due, 1 + int((time.monotonic() - begin) / script.token_s))
            sent = min(due, limit)
            yield sent
            if sent == num_tokens:
                return
        if script.fault == "hang":
            await asyncio.Event().wait()
        if script.fault == "abort":
            raise EngineAborted("The engine gave the answer up", started=True)
        raise EngineDown("The connection to the engine broke", started=sent > 0)

    def _check_up(self, *, started: bool) -> None:
        if time.monotonic() < self._down_until or self.script.fault == "down":
            raise EngineDown("The engine cannot be reached", started=started)

    def _check(self, sampling: Sampling, *, num_prompt_tokens: int) -> None:
        """Refuse what vLLM refuses."""
        if self.script.fault == "overloaded" or self.in_flight >= self._max_requests:
            raise EngineOverloaded("The engine's queue is full", retry_after_s=1.0)
        wrong = (
            not 0.0 <= sampling.temperature <= 2.0
            or not 0.0 < sampling.top_p <= 1.0
            or sampling.max_tokens < 1
            or (sampling.logprobs or 0) > _MAX_LOGPROBS
            or not _compiles(sampling.regex)
            or num_prompt_tokens >= self._context_length
        )
        if wrong or self.script.fault == "rejected":
            raise EngineRejected("The engine answered 400 (BadRequestError)")


def _compiles(regex: str | None) -> bool:
    try:
        re.compile(regex or "")
    except re.error:
        return False
    return True


def _compose(script: Script, messages: Sequence[Message], sampling: Sampling) -> _Answer:
    """Return the script's answer as the engine would end it: at a stop string, or after `max_tokens`."""
    text = script.text if isinstance(script.text, str) else script.text(messages)
    if sampling.choice is not None and text not in sampling.choice:
        text = sampling.choice[0]
    if sampling.json_schema is not None and not text.startswith(("{", "[")):
        text = json.dumps(_instance(sampling.json_schema), ensure_ascii=False, separators=(",", ":"))
    everything = _TOKEN.findall(text)
    tokens = everything[: sampling.max_tokens]
    reason = script.finish_reason if len(tokens) == len(everything) else "length"
    text = "".join(tokens)
    found = [(at, stop) for stop in sampling.stop if (at := text.find(stop)) >= 0]
    if not found:
        return _Answer(tokens=tokens, texts=tokens, finish_reason=reason)
    at, stop = min(found)
    texts: list[str] = []
    seen = 0
    while seen < at + len(stop):
        token = tokens[len(texts)]
        texts.append(token[: max(0, at - seen)])
        seen += len(token)
    return _Answer(tokens=tokens[: len(texts)], texts=texts, finish_reason="stop")


def _instance(schema: Mapping[str, Any]) -> Any:
    """Return the first value that comes to mind for a schema: of the kinds that the tasks use."""
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return _instance(schema["anyOf"][0])
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: _instance(properties[name]) for name in schema.get("required", properties)}
        case "array":
            num = min(schema.get("maxItems", 1), max(1, schema.get("minItems", 0)))
            return [_instance(schema["items"]) for _ in range(num)]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "string":
            return "да"
    return None


def _logprobs(tokens: Sequence[str], sampling: Sampling) -> Sequence[TokenLogprob]:
    if sampling.logprobs is None:
        return ()
    return [TokenLogprob(token=token, logprob=_LOGPROB) for token in tokens]
