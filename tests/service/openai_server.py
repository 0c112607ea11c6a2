"""A server that speaks vLLM's HTTP dialect with a FakeEngine behind it: faults of the wire, on loopback."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.engine.base import Delta, Sampling
from service.engine.fake import FakeEngine
from service.errors import EngineAborted, EngineDown, EngineError, EngineOverloaded, EngineRejected


@dataclass(kw_only=True)
class Wire:
    """How the bytes travel. Counts are of events sent before the fault; the role event is the first."""

    dribble: bool = False  # one byte a write
    newline: str = "\n"
    comments: bool = False  # keep-alive comments between events, as --sse-keep-alive-interval sends
    error_after: int | None = None  # an error event in a stream that answered 200
    error_code: int = 500
    garbage_after: int | None = None
    end_after: int | None = None  # a clean end without finish_reason
    finish_reason: str | None = None  # instead of the engine's
    no_done: bool = False  # neither usage nor [DONE] after the finish reason
    hold_open_s: float = 0.0  # the body's end comes that long after [DONE]
    status: int | None = None  # answered at once, with `body`
    body: str = ""


class OpenAIServer:
    """Serves `engine` as `model`; `requests` keeps the bodies of chat requests, `headers` their headers."""

    def __init__(self, engine: FakeEngine, *, model: str = "fake", vocab_size: int = 1000) -> None:
        self.engine = engine
        self.model = model
        self.vocab_size = vocab_size
        self.context_length = 8192
        self.tells_vocab_size = True
        self.takes_priority = False
        self.wire = Wire()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.connections: set[int] = set()
        self.url = ""

    @asynccontextmanager
    async def running(self, *, port: int = 0) -> AsyncIterator[OpenAIServer]:
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        entry = {"id": self.model, "object": "model", "max_model_len": self.context_length}
        return web.json_response({"object": "list", "data": [entry]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        words = (await request.json())["prompt"].split()
        tokens = [zlib.crc32(word.encode()) % self.vocab_size for word in words]
        return web.json_response(
            {"count": len(tokens), "max_model_len": self.context_length, "tokens": tokens, "token_strs": None}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(request.headers)
        self.connections.add(id(request.transport))
        if self.wire.status is not None:
            return web.Response(status=self.wire.status, text=self.wire.body)
        if (refused := self._refusal(body)) is not None:
            return refused
        answer = self.engine.generate(
            body["messages"], sampling=_sampling(body), request_id=request.headers.get("X-Request-Id", "-")
        )
        async with aclosing(answer):
            if not body.get("stream"):
                return await self._whole(answer)
            return await self._streamed(request, answer)

    def _refusal(self, body: dict[str, Any]) -> web.Response | None:
        if body.get("model", self.model) != self.model:
            return _error(404, "NotFoundError", f"The model `{body['model']}` does not exist.")
        beyond = [int(key) for key in body.get("logit_bias", {}) if int(key) >= self.vocab_size]
        if beyond:
            size = f" Vocabulary size: {self.vocab_size}" if self.tells_vocab_size else ""
            return _error(
                400, "BadRequestError", f"token_id(s) {beyond} in logit_bias are out of vocab.{size}"
            )
        if body.get("priority") and not self.takes_priority:
            return _error(400, "BadRequestError", "priority scheduling is off")
        return None

    async def _whole(self, answer: Any) -> web.Response:
        text = "".join([delta.text async for delta in answer])
        return web.json_response({"choices": [{"index": 0, "message": {"content": text}}]})

    async def _streamed(self, request: web.Request, answer: Any) -> web.StreamResponse:
        try:
            first = await anext(answer)
        except EngineError as error:
            return _refused(error, request)
        events = _Events(request, self.wire)
        await events.open()
        try:
            await events.send(_chunk({"role": "assistant", "content": ""}))
            await events.send_delta(first)
            async for delta in answer:
                await events.send_delta(delta)
        except EngineAborted:
            await events.send(_chunk({"content": ""}, finish_reason="abort"))
        except EngineDown:
            assert request.transport is not None
            request.transport.abort()
            return events.response
        except _EndOfStreamError:
            return events.response
        if not self.wire.no_done:
            await events.write("data: [DONE]")
            await asyncio.sleep(self.wire.hold_open_s)
        return events.response


class _EndOfStreamError(Exception):
    """The stream is to end here, cleanly."""


class _Events:
    """Writes events as the wire wants them."""

    def __init__(self, request: web.Request, wire: Wire) -> None:
        self.response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        self._request = request
        self._wire = wire
        self._num_sent = 0

    async def open(self) -> None:
        await self.response.prepare(self._request)

    async def send_delta(self, delta: Delta) -> None:
        reason = self._wire.finish_reason if delta.finish_reason else None
        await self.send(
            _chunk(
                {"content": delta.text}, finish_reason=reason or delta.finish_reason, logprobs=delta.logprobs
            )
        )
        if delta.usage is not None and not self._wire.no_done:
            tokens = (delta.usage.prompt_tokens, delta.usage.completion_tokens)
            usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
            await self.send({"object": "chat.completion.chunk", "choices": [], "usage": usage})

    async def send(self, chunk: dict[str, Any]) -> None:
        if self._num_sent == self._wire.error_after:
            await self.write(
                "data: " + json.dumps(_error_body(self._wire.error_code, "InternalServerError", "…"))
            )
            await self.write("data: [DONE]")
            raise _EndOfStreamError
        if self._num_sent == self._wire.garbage_after:
            await self.write("data: <html>секрет</html>")
        if self._num_sent == self._wire.end_after:
            raise _EndOfStreamError
        if self._wire.comments:
            await self.write(": keep-alive")
        await self.write("data: " + json.dumps(chunk, ensure_ascii=False))
        self._num_sent += 1

    async def write(self, event: str) -> None:
        data = (event + self._wire.newline * 2).encode()
        for piece in [data[i : i + 1] for i in range(len(data))] if self._wire.dribble else [data]:
            await self.response.write(piece)
            if self._wire.dribble:
                await asyncio.sleep(0)


def _sampling(body: dict[str, Any]) -> Sampling:
    outputs = body.get("structured_outputs", {})
    return Sampling(
        max_tokens=body["max_tokens"],
        temperature=body.get("temperature", 1.0),
        top_p=body.get("top_p", 1.0),
        stop=tuple(body.get("stop", ())),
        seed=body.get("seed"),
        logprobs=body.get("top_logprobs", 0) if body.get("logprobs") else None,
        json_schema=outputs.get("json"),
        choice=tuple(outputs["choice"]) if "choice" in outputs else None,
        regex=outputs.get("regex"),
    )


def _chunk(delta: dict[str, str], *, finish_reason: str | None = None, logprobs: Any = ()) -> dict[str, Any]:
    content = [{"token": item.token, "logprob": item.logprob, "top_logprobs": []} for item in logprobs]
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": {"content": content} if content else None,
        "finish_reason": finish_reason,
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "fake",
        "choices": [choice],
    }


def _error_body(status: int, kind: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response(_error_body(status, kind, message), status=status)


def _refused(error: EngineError, request: web.Request) -> web.StreamResponse:
    """Answer as vLLM does when nothing was generated; its messages may quote the prompt, so these do."""
    if isinstance(error, EngineRejected):
        return _error(400, "BadRequestError", "Invalid input: секрет")
    if isinstance(error, EngineOverloaded):
        return _error(
            503, "Service Unavailable", "The engine is currently busy and cannot accept new requests."
        )
    return _error(500, "InternalServerError", "EngineCore encountered an issue.")
