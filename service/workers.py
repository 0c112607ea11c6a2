"""Processes of our own that may die: JSON lines and raw bytes over their pipes, killed without regret.

No object ever crosses a pipe, so that a worker that was taken over can send values or an error, never code.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

__all__ = ["Process", "ask", "kill", "start"]

_ENVIRONMENT = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")  # all that a worker inherits: no secrets
_ROOT = Path(__file__).parents[1]


async def start(code: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> Process:
    """Start this Python on some code, in a session of its own."""
    inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", code, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        cwd=_ROOT,
        env={**inherited, **environment},
        start_new_session=True,  # an interrupt from the terminal is for the parent
    )


async def ask(worker: Process, *parts: bytes) -> dict[str, Any]:
    """Send; return the answer's line, or raise `EOFError` or `ConnectionError` for a worker at fault."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.writelines(parts)
    await worker.stdin.drain()
    line = await worker.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    try:
        reply: dict[str, Any] = json.loads(line)
    except ValueError:
        raise EOFError from None
    return reply


def kill(worker: Process) -> None:
    """End a worker that may have ended by itself."""
    if worker.returncode is None:
        worker.kill()
