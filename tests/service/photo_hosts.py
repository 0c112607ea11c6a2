"""Hosts that keep photos and hosts that attack, on loopback under invented names; a DNS that can lie."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from service.fetching import Address, CannotFetch, Fetcher, is_public

PHOTO = b"\xff\xd8\xff" + bytes(5000)
MAX_BYTES = 100_000
LOOPBACK = ip_address("127.0.0.1")
ALLOWED = ["img.example.ru", "*.cdn.example", "пример.рф", "localhost"]
NAMES = {
    "img.example.ru": [["127.0.0.1"]],
    "a.cdn.example": [["127.0.0.1"]],
    "xn--e1afmkfd.xn--p1ai": [["127.0.0.1"]],
    "localhost": [["127.0.0.2"]],
    "inside.cdn.example": [["10.0.0.5"]],
    "half.cdn.example": [["127.0.0.1", "192.168.0.1"]],
    "empty.cdn.example": [[]],
    "strange.cdn.example": [["not-an-address"]],
}


class Dns(AbstractResolver):
    """Answers a name with its addresses; with a list of lists, another one at every lookup."""

    def __init__(self, names: dict[str, Sequence[Sequence[str]]]) -> None:
        self.names = {name: list(answers) for name, answers in names.items()}
        self.num_lookups = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.num_lookups += 1
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        answers = self.names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=1, family=socket.AF_INET, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        pass


class Host:
    """Answers every path with what its name says; `requests` are (host, path) in order, `headers` beside."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []

    @asynccontextmanager
    async def running(self, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
        app = web.Application()
        app.router.add_get("/{tail:.*}", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.host.split(":")[0], request.path))
        self.headers.append(dict(request.headers))
        kind = request.path.strip("/")
        if "to" in request.query:
            return web.Response(status=int(kind), headers={"Location": request.query["to"]})
        if kind.isdigit():
            return web.Response(status=int(kind), body=PHOTO)
        if kind == "silent":
            await asyncio.sleep(60)
        if kind == "loop":
            return web.Response(status=302, headers={"Location": "/loop"})
        if kind.startswith("countdown/") and (left := int(kind.split("/")[1])):
            return web.Response(status=302, headers={"Location": f"/countdown/{left - 1}"})
        if kind in {"endless", "slow"}:
            return await self._stream(request, kind)
        if kind == "gzip":
            body = gzip.compress(bytes(50_000_000), 1)[:MAX_BYTES]
            return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "image/png"})
        types = {"html": "text/html", "svg": "image/svg+xml", "gif": "image/gif", "png": "image/png"}
        size = {"large": MAX_BYTES + 1, "full": MAX_BYTES}.get(kind, len(PHOTO))
        headers = {"Set-Cookie": "visitor=1; Path=/"}
        return web.Response(
            body=PHOTO.ljust(size, b"\0")[:size], content_type=types.get(kind, "image/jpeg"), headers=headers
        )

    async def _stream(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        await response.prepare(request)
        while True:
            await response.write(b"x" if kind == "slow" else bytes(10_000))
            await asyncio.sleep(0.05 if kind == "slow" else 0)


@asynccontextmanager
async def raw_host(answer: bytes) -> AsyncIterator[int]:
    """Answer every connection with these bytes and close it; yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server shows and what a client trusts: a certificate for that name."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    request = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name}"
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", *request.split(), *files], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))


def plays_public(address: Address) -> bool:
    """Loopback plays the internet; the real check says of everything else what it is."""
    return address == LOOPBACK or is_public(address)


@asynccontextmanager
async def fetching(*ports: int, allowed: Sequence[str] = ALLOWED, **options: Any) -> AsyncIterator[Fetcher]:
    """Make a fetcher to which loopback is public."""
    usual = {"max_bytes": MAX_BYTES, "timeout_s": 1.0, "is_public": plays_public, "resolver": Dns(NAMES)}
    fetcher = Fetcher(allowed, ports=ports, **{**usual, **options})
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def code_of(fetcher: Fetcher, url: str) -> str:
    """Return the code with which an address is refused; its message names no host and no address."""
    try:
        await fetcher.fetch(url)
    except CannotFetch as error:
        assert error.detail.isascii()
        assert "example" not in error.detail
        assert "." not in error.detail
        return error.code
    raise AssertionError("the photo was fetched")
