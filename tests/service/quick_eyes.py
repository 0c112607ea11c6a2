"""A worker without a model, for what has nothing to do with one: it starts in 0.1 s where torch takes 8.

Speaks as `service.looking` does. A photo shows the label of its first byte; some of one byte only are deadly.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

DEADLY, STUCK, REFUSED = 251, 252, 253  # a photo that is all of such a byte


def serve() -> None:
    """Load at once and answer with cosines of 1 and 0."""
    _answer(_loaded())


def serve_slowly() -> None:
    """Take a second to load."""
    time.sleep(1.0)
    serve()


def die_at_first() -> None:
    """Die in the middle of the first batch, once for a cache folder."""
    job = _loaded()
    mark = Path(job["matrices"]) / "died"
    if not mark.exists():
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        sys.stdin.buffer.readline()
        os._exit(1)
    _answer(job)


def hang() -> None:
    """Never load."""
    time.sleep(600)


def die() -> None:
    """Do not load at all."""


def babble() -> None:
    """Print what is no answer."""
    sys.stdin.buffer.readline()
    sys.stdout.write("Traceback: not JSON\n")
    sys.stdout.flush()
    time.sleep(600)


def _loaded() -> dict[str, Any]:
    job: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    _reply({"num_labels": len(job["texts"]), "seconds": 0.0})
    return job


def _answer(job: dict[str, Any]) -> None:
    num_labels = len(job["texts"])
    while line := sys.stdin.buffer.readline():
        photos = [sys.stdin.buffer.read(3 * width * height) for width, height in json.loads(line)]
        bytes_met = {photo[0] for photo in photos if len(set(photo)) == 1}
        if DEADLY in bytes_met:
            os._exit(1)
        if STUCK in bytes_met:
            time.sleep(600)
        if REFUSED in bytes_met:
            _reply({"failed": "RuntimeError: out of memory"})
            continue
        cosines = [float(index == photo[0] % num_labels) for photo in photos for index in range(num_labels)]
        _reply({"num_photos": len(photos)}, struct.pack(f"{len(cosines)}f", *cosines))


def _reply(reply: dict[str, Any], data: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n" + data)
    sys.stdout.buffer.flush()
