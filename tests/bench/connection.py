"""A client of the service that costs next to nothing: open connections, replies read after the clock.

The clock runs from the writing of the request to the reply's last byte, so that it shows the service and not
a client library; the load shares its cores with what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

LIMIT_S = 300
SENTENCE = b"event: sentence"


@dataclass(kw_only=True)
class Reply:
    """A whole reply; status 0 if the connection broke. `first_s` is when the first sentence was there."""

    status: int
    total_s: float
    first_s: float = 0.0
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Connection(asyncio.Protocol):
    """One connection with one request at a time; told to the pool when it is lost."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.lost = False
        self._reply: asyncio.Future[Reply] | None = None
        self._begun = self._first_s = 0.0
        self._data = b""

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Write the request."""
        self._data, self._first_s = b"", 0.0
        self._reply = asyncio.get_running_loop().create_future()
        self._begun = time.perf_counter()
        self.transport.write(request)
        return self._reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        self._data += data
        seconds = time.perf_counter() - self._begun
        if not self._first_s and SENTENCE in data:
            self._first_s = seconds
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found or self._reply is None or self._reply.done():
            return
        first, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        if b"content-length" not in headers:
            if not body.endswith(b"0\r\n\r\n"):  # an event ends in \n\n: only the last chunk looks like this
                return
            body = _joined(body)
        elif len(body) < int(headers[b"content-length"]):
            return
        status = int(first.split(b" ", 2)[1])
        reply = Reply(status=status, total_s=seconds, first_s=self._first_s, headers=headers, body=body)
        self._reply.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(Reply(status=0, total_s=time.perf_counter() - self._begun))


class Client:
    """A pool of connections to one address, as many as there are requests at once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), parts.port or 80
        self.free: list[Connection] = []

    async def open(self, num: int) -> None:
        """Open connections beforehand."""
        self.free += [await self._connect() for _ in range(num)]

    async def ask(self, request: bytes) -> Reply:
        """Send a request over a free connection and await the reply."""
        self.free = [connection for connection in self.free if not connection.lost]
        connection = self.free.pop() if self.free else await self._connect()
        async with asyncio.timeout(LIMIT_S):
            reply = await connection.ask(request)
        self.free.append(connection)
        return reply

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, self.host, self.port))[1]


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    """Open a client and close its connections at the end."""
    opened = Client(url)
    try:
        yield opened
    finally:
        for connection in opened.free:
            connection.transport.close()


def post(path: str, body: bytes, **headers: str) -> bytes:
    """Return a POST of JSON as bytes; `X_Deadline_Ms="500"` is X-Deadline-Ms: 500."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _joined(chunks: bytes) -> bytes:
    """Return the body of a chunked reply."""
    parts: list[bytes] = []
    while True:
        size, _, chunks = chunks.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return b"".join(parts)
        parts.append(chunks[:length])
        chunks = chunks[length + 2 :]
