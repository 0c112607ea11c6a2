"""vLLM's chat dialect as pure functions: requests to JSON, streamed answers to Deltas, refusals to errors.

Read from the sources of vLLM 0.32.0 (entrypoints/openai/chat_completion). What is easy to get wrong:
the 200 leaves before the sampling parameters are checked, so a refusal, even "queue full", may come as the
first event of the stream; usage comes in an event of its own after the one with `finish_reason`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from service.engine.base import Delta, Message, Sampling, TokenLogprob, Usage
from service.errors import EngineAborted, EngineDown, EngineError, EngineOverloaded, EngineRejected

_COMPLETE = ("stop", "length")
_QUEUE_FULL = "Service Unavailable"  # error.type of vLLM's QueueOverflowError and MaxQueuedTokensError
_RETRY_AFTER_S = 1.0
_SAFE_TYPE = re.compile(r"[A-Za-z ]{1,40}")


def chat_request(
    messages: Sequence[Message], *, model: str, sampling: Sampling, request_id: str, priority: int | None
) -> bytes:
    """Return the JSON body of a streamed chat completion.

    Every sampling value is sent, because what is left out comes from the checkpoint's generation_config.json.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "stream": True,
        # Continuous, so that an answer which is cut short is counted too.
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "request_id": request_id,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "stop": sampling.stop,
        "seed": sampling.seed,
    }
    if priority is not None:
        body["priority"] = priority
    if sampling.logprobs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = sampling.logprobs
    constraints = {"json": sampling.json_schema, "choice": sampling.choice, "regex": sampling.regex}
    if chosen := {name: value for name, value in constraints.items() if value is not None}:
        body["structured_outputs"] = chosen
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # a lone surrogate in a text, a seed of more than 64 bits
        raise EngineRejected("The request cannot be written as JSON") from None


def failure(status: int, body: object, *, started: bool = False) -> EngineError:
    """Return the error for an HTTP status and the parsed body (None if it was no JSON).

    Only the status and the error's type are kept: vLLM's message may quote the prompt.
    """
    error = body.get("error") if isinstance(body, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    named = isinstance(kind, str) and _SAFE_TYPE.fullmatch(kind)
    detail = f"The engine answered {status}" + (f" ({kind})" if named else "")
    if status == 429 or (status == 503 and kind == _QUEUE_FULL):
        return EngineOverloaded(detail, started=started, retry_after_s=_RETRY_AFTER_S)
    if 400 <= status < 500:
        return EngineRejected(detail, started=started)
    return EngineDown(detail, started=started)


class AnswerParser:
    """Turns the bytes of one streamed answer, however they are cut, into Deltas.

    All that one piece of bytes completes becomes one Delta, so relaying gets cheaper as the load grows.
    """

    def __init__(self) -> None:
        self.started = False  # a byte of the body has come
        self.finish_reason: str | None = None
        self._usage: dict[str, int] | None = None
        self._tail = b""  # the unfinished line
        self._event = b""  # the data of the unfinished event
        self._num_events = 0
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def feed(self, data: bytes) -> Delta | None:
        """Take the next bytes; return what they complete, with `finish_reason` once `[DONE]` was read."""
        self.started = True
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self._event = self._event + b"\n" + line[5:] if self._event else line[5:]
            elif not line and self._event:
                event, self._event = self._event, b""
                if event.strip() == b"[DONE]":
                    return self.end()
                self._read(event)
        if self._texts or self._logprobs:
            return self._take(finish_reason=None)
        return None

    def end(self) -> Delta:
        """Return the last Delta, or raise if the answer was not complete when the stream ended."""
        if self.finish_reason not in _COMPLETE:
            raise EngineAborted("The stream ended without a finish reason", started=self.started)
        return self._take(finish_reason=self.finish_reason)

    def _take(self, *, finish_reason: str | None) -> Delta:
        usage = self._usage and Usage(
            prompt_tokens=self._usage["prompt_tokens"], completion_tokens=self._usage["completion_tokens"]
        )
        delta = Delta(
            text="".join(self._texts),
            logprobs=self._logprobs,
            finish_reason=finish_reason,
            usage=usage or None,
        )
        self._texts, self._logprobs = [], []
        return delta

    def _read(self, event: bytes) -> None:
        try:
            chunk = orjson.loads(event)
            if "error" in chunk:
                raise self._error(chunk)
            if choices := chunk["choices"]:
                self._read_choice(choices[0])
            if usage := chunk.get("usage"):
                self._usage = {
                    "prompt_tokens": int(usage["prompt_tokens"]),
                    "completion_tokens": int(usage["completion_tokens"]),
                }
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            # Without the cause: orjson's error holds the document, which is a user's text.
            raise EngineAborted("The engine sent an event that is no chat chunk", started=True) from None
        self._num_events += 1

    def _read_choice(self, choice: dict[str, Any]) -> None:
        if text := choice["delta"].get("content"):
            self._texts.append(text)
        if logprobs := choice.get("logprobs"):
            self._logprobs.extend(
                TokenLogprob(token=item["token"], logprob=item["logprob"])
                for item in logprobs["content"] or ()
            )
        if reason := choice.get("finish_reason"):
            if reason not in _COMPLETE:  # abort, and error and repetition which are not asked for
                raise EngineAborted("The engine gave the answer up", started=True)
            self.finish_reason = reason

    def _error(self, chunk: dict[str, Any]) -> EngineError:
        """Return the error of an error event; as the first event it is a refusal, not a started answer."""
        started = self._num_events > 0
        code = chunk["error"].get("code")
        error = failure(code if isinstance(code, int) else 500, chunk, started=started)
        return EngineAborted(error.detail, started=started) if isinstance(error, EngineDown) else error
