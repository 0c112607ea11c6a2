"""Real processes for tests of the loop: torch is imported once, and each process is forked from there."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from torch.distributed import TCPStore

TIMEOUT_S = 60
Started = tuple[BaseProcess, Connection, TCPStore]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["training.trainer.checkpoints", "torch.distributed.fsdp", "torch._dynamo"])


def start(work: Callable[..., Any], *arguments: Any, size: int) -> list[Started]:
    """Start `work(*arguments)` in so many processes, as torchrun would."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun hosts one as well
    started = []
    for rank in range(size):
        ours, theirs = _context.Pipe(duplex=False)
        process = _context.Process(target=_one, args=(theirs, rank, size, store.port, work, arguments))
        process.start()
        theirs.close()
        started.append((process, ours, store))
    return started


def outcomes(started: list[Started]) -> list[Any]:
    """Return by rank what came out: a value, an exception's text, or None of a process that was killed."""
    found = []
    for _, ours, _ in started:
        try:
            found.append(ours.recv() if ours.poll(TIMEOUT_S) else "no answer")
        except EOFError:
            found.append(None)
    for process, *_ in started:
        process.join(TIMEOUT_S)
    return found


def run(work: Callable[..., Any], *arguments: Any, size: int) -> list[Any]:
    """Return by rank what `work` returned in each of the processes, or the text of its error."""
    return outcomes(start(work, *arguments, size=size))


def _one(
    answer: Connection, rank: int, size: int, port: int, work: Callable[..., Any], arguments: Any
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    warnings.simplefilter("error")
    try:
        answer.send(work(*arguments))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        answer.send(f"{type(error).__name__}: {error}")
