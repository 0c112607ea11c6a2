"""A listing's photo: hostile bytes in, plain pixels out, decoded in processes that may die.

A worker (`service.pixels`) has one photo at a time and speaks JSON lines and raw bytes over its pipes, so
that one that was taken over can send pixels or an error, never an object.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import re
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TypeAlias

from service import workers
from service.pixels import BadPhoto, Limits, Shrink, shrunk
from service.workers import Process

__all__ = ["BadPhoto", "Decoder", "Limits", "Pixels", "from_base64"]

_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE | re.ASCII)
_LARGE = 32 * 2**20  # bytes of memory; photos whose decoding takes more are decoded one at a time
_SERVE = "from service.pixels import serve; serve()"

Rows: TypeAlias = tuple[int, int, bytes]  # width, height, RGB


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Upright RGB rows, three bytes a pixel and nothing else; `sha256` is of the source's bytes."""

    width: int
    height: int
    rgb: bytes
    sha256: str


def from_base64(text: str, *, limits: Limits) -> bytes:
    """Return the bytes of strict base64, a `data:image/...;base64,` prefix allowed, or raise `BadPhoto`."""
    prefix = _DATA_URL.match(text)
    start = prefix.end() if prefix else 0
    if len(text) - start > 4 * -(-limits.max_bytes // 3):
        raise _too_large(limits)
    try:
        return base64.b64decode(text[start:], validate=True)
    except (binascii.Error, ValueError):
        raise BadPhoto("not_base64", "The photo is not base64 (RFC 4648, padded, no line breaks)") from None


class Decoder:
    """At most `num_workers` photos at once; needs no running loop to be made, starts workers as needed.

    `timeout_s` bounds the check and the decoding of a photo, each; a worker that passes it is killed, the
    others are untouched. A photo whose worker dies is tried once more. The memory of all workers stays below
    `limits.max_memory_bytes` + 32 MiB for every further worker + 30 MB for each. `shrink`, a function of a
    module, takes the place of the decoding.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        num_workers: int = 2,
        timeout_s: float = 10.0,
        shrink: Shrink = shrunk,
    ) -> None:
        self.limits = limits or Limits()
        self._timeout_s = timeout_s
        self._shrink = f"{shrink.__module__}:{shrink.__qualname__}"
        self._places = asyncio.Semaphore(num_workers)
        self._large = asyncio.Lock()
        self._idle: list[Process] = []
        self._started: list[Process] = []
        self._closed = False

    async def decode(self, data: bytes) -> Pixels:
        """Return the photo's pixels, or raise `BadPhoto`; a caller that gives up frees its place at once."""
        if len(data) > self.limits.max_bytes:
            raise _too_large(self.limits)
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        async with self._places:
            for _ in range(2):
                try:
                    width, height, rgb = await self._once(data)
                    return Pixels(width=width, height=height, rgb=rgb, sha256=sha256)
                except (EOFError, ConnectionError):
                    continue
        raise BadPhoto("crashed", "The photo could not be decoded")

    async def close(self) -> None:
        """End all workers; photos that are being decoded end with `BadPhoto`."""
        self._closed = True
        self._idle.clear()
        for process in self._started:
            workers.kill(process)
        for process in self._started:
            await process.wait()

    async def _once(self, data: bytes) -> Rows:
        """Decode with one worker, which is used again only if it has answered to the end."""
        self._idle = [one for one in self._idle if one.returncode is None]
        worker = self._idle.pop() if self._idle else await self._start()
        answered = False
        try:
            reply = await self._exchange(worker, data)
            answered = True
        except TimeoutError:
            raise BadPhoto("timeout", f"The photo took more than {self._timeout_s:g} s to decode") from None
        finally:
            if answered and not self._closed:
                self._idle.append(worker)
            else:
                workers.kill(worker)
        if isinstance(reply, BadPhoto):
            raise reply
        return reply

    async def _exchange(self, worker: Process, data: bytes) -> Rows | BadPhoto:
        """Have the header checked, wait for memory if much is needed, take the pixels."""
        async with asyncio.timeout(self._timeout_s):
            reply = await workers.ask(worker, len(data).to_bytes(4, "big"), data)
        if "memory" in reply:
            async with self._large if reply["memory"] > _LARGE else nullcontext():
                async with asyncio.timeout(self._timeout_s):
                    reply = await workers.ask(worker, b"\n")
                    if "width" in reply:
                        return await self._rows(worker, **reply)
        return BadPhoto(**reply)

    async def _rows(self, worker: Process, *, width: int, height: int) -> Rows:
        assert worker.stdout is not None
        if not 0 < width * height <= self.limits.short_side * self.limits.max_side:
            raise EOFError  # no photo is that large once it is shrunk
        return width, height, await worker.stdout.readexactly(3 * width * height)

    async def _start(self) -> Process:
        if self._closed:
            raise _closed()
        process = await workers.start(_SERVE, json.dumps(asdict(self.limits)), self._shrink)
        self._started = [one for one in self._started if one.returncode is None] + [process]
        if self._closed:
            await self.close()
            raise _closed()
        return process


def _closed() -> BadPhoto:
    return BadPhoto("closed", "The service is shutting down")


def _too_large(limits: Limits) -> BadPhoto:
    return BadPhoto("too_large", f"The photo has more than {limits.max_bytes} bytes")
