"""The client of a vLLM server: streams answers over its OpenAI-compatible HTTP API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from io import BytesIO
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from service.engine.base import Delta, Message, Sampling
from service.engine.wire import AnswerParser, chat_request, failure
from service.errors import EngineDown

_KEEP_ALIVE_S = (
    4.0  # below the 5 s after which vLLM closes an idle connection: no request meets a closing one
)
_REQUESTS = re.compile(r"^vllm:num_requests_(?:running|waiting)\{[^}\n]*\} (\S+)$", re.MULTILINE)
_END_OF_BODY_S = 0.05  # how long the end of the body may lag behind [DONE] before the connection is given up
_LARGE_BODY = 2**20  # bytes; far beyond any prompt that fits a context
_CANARY: Message = {"role": "user", "content": "."}
_CANARY_PRIORITY = -(2**31)  # a canary asks whether the engine can answer, not how long its queue is


class VllmEngine:
    """One vLLM server. Needs no running loop to be made; connects with the first request.

    `stall_timeout_s` bounds the silence between two bytes, the wait for the first token included; the
    total is left to the caller's deadline. `supports_priority` tells that the server runs with
    `--scheduling-policy priority`; any other refuses a request that has a priority.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str,
        connect_timeout_s: float = 2.0,
        stall_timeout_s: float = 30.0,
        health_timeout_s: float = 10.0,
        supports_priority: bool = False,
    ) -> None:
        self.url = base_url.rstrip("/").removesuffix("/v1")
        self.model = model
        self._health_timeout_s = health_timeout_s
        self._supports_priority = supports_priority
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=connect_timeout_s, sock_read=stall_timeout_s
        )
        self._session: aiohttp.ClientSession | None = None
        self._running: set[aiohttp.ClientResponse] = set()
        self._closed = False

    async def generate(
        self, messages: Sequence[Message], *, sampling: Sampling, request_id: str, priority: int = 0
    ) -> AsyncGenerator[Delta, None]:
        """Stream the answer; leaving the generator closes the connection, which makes vLLM abort."""
        body = chat_request(
            messages,
            model=self.model,
            sampling=sampling,
            request_id=request_id,
            priority=priority if self._supports_priority else None,
        )
        parser = AnswerParser()
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._send("/v1/chat/completions", body=body, request_id=request_id)
            self._running.add(response)
            if response.status != 200:
                raise failure(response.status, _parsed(await response.read()))
            while data := await response.content.readany():
                delta = parser.feed(data)
                if delta is None:
                    continue
                if delta.finish_reason is not None:
                    await _finish(response)
                    yield delta
                    return
                yield delta
            yield parser.end()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _down(error, started=parser.started) from error
        finally:
            if response is not None:
                self._running.discard(response)
                response.close()

    async def health(self) -> None:
        """Have one token generated within the health timeout, or raise an `EngineError`."""
        answer = self.generate(
            [_CANARY],
            sampling=Sampling(max_tokens=1),
            request_id=f"health-{uuid4().hex}",
            priority=_CANARY_PRIORITY,
        )
        try:
            async with asyncio.timeout(self._health_timeout_s), aclosing(answer):
                async for _ in answer:
                    pass
        except TimeoutError:
            raise EngineDown(f"The engine gave no token within {self._health_timeout_s:g} s") from None

    async def load(self) -> int | None:
        """Return how many requests run or wait, by the server's own metrics."""
        try:
            async with asyncio.timeout(self._health_timeout_s):
                response = await self._send("/metrics", body=None)
                async with response:
                    found = _REQUESTS.findall(await response.text()) if response.status == 200 else []
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _down(error, started=False) from error
        return round(sum(map(float, found))) if found else None

    async def ask(self, path: str, *, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Make one plain exchange, GET or POST with a body: return the status and the parsed answer."""
        try:
            async with asyncio.timeout(self._health_timeout_s):
                response = await self._send(path, body=None if body is None else orjson.dumps(body))
                async with response:
                    return response.status, _parsed(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _down(error, started=False) from error

    async def close(self) -> None:
        """Close all connections; running answers end with `EngineDown`."""
        self._closed = True
        for response in self._running:
            response.close()  # closing the session alone would leave the reader waiting for ever
        if self._session is not None:
            await self._session.close()

    async def _send(
        self, path: str, *, body: bytes | None, request_id: str | None = None
    ) -> aiohttp.ClientResponse:
        if self._closed:
            raise EngineDown("The engine is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
            )
        headers = {} if request_id is None else {"X-Request-Id": request_id}
        if body is None:
            return await self._session.get(self.url + path, headers=headers, allow_redirects=False)
        headers["Content-Type"] = "application/json"
        data = body if len(body) <= _LARGE_BODY else BytesIO(body)  # aiohttp warns of larger bytes
        return await self._session.post(self.url + path, data=data, headers=headers, allow_redirects=False)


async def _finish(response: aiohttp.ClientResponse) -> None:
    """Read the end of the body: a connection whose body was read whole goes back to the pool."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_END_OF_BODY_S):
            await response.content.read()


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _down(error: Exception, *, started: bool) -> EngineDown:
    """Name the failure without the address: the detail may reach the caller, the log has the cause."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return EngineDown("The engine cannot be reached", started=started)
    if isinstance(error, TimeoutError):
        return EngineDown("The engine has fallen silent", started=started)
    return EngineDown("The connection to the engine broke", started=started)
