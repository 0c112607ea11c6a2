"""Processes that need each other: one agreed outcome of what each does, and who is gone when one dies."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import torch.distributed as dist
from torch._C._distributed_c10d import Store

from training.trainer.placement import Place

_T = TypeVar("_T")
_LOST: Final = re.compile(r"gloo/transport|NCCL|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)
_GONE: Final = "gone"
_DYING_S: Final = 3.0  # a process lets go of its sockets before it is gone: 0.1 s, longer with a traceback


def together(work: Callable[[], _T], *, group: dist.ProcessGroup | None = None) -> list[_T]:
    """Return what `work` gave in each process, by rank. Where one fails, its error is raised in all."""
    outcome: tuple[_T | None, Exception | None]
    try:
        outcome = work(), None
    except Exception as error:  # whatever it is, the others wait to hear of it
        outcome = None, error
    outcomes: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(outcomes, outcome, group=group)
    for _, failure in outcomes:
        if failure is not None:
            raise failure
    return [value for value, _ in outcomes]


def once(work: Callable[[], _T], *, group: dist.ProcessGroup | None = None) -> _T:
    """Return in every process what `work` gave in the first; its error is raised in all."""
    main = dist.get_rank(group) == 0
    return cast(_T, together(lambda: work() if main else None, group=group)[0])


def lost(error: RuntimeError) -> bool:
    """Tell whether a collective failed because another process is gone; gloo says so in its text alone."""
    return isinstance(error, dist.DistError) or bool(_LOST.search(str(error)))


def gone(places: Sequence[Place], *, store: Store) -> str:
    """Name the process that was gone first, by rank; "a process" where it ran on a machine without others.

    Who hears of it leaves too and is missed by the next: so the first to know tells it through `store`.
    """
    here = socket.gethostname()
    local = [(rank, pid) for rank, (host, pid) in enumerate(places) if host == here]
    until = time.monotonic() + _DYING_S
    while time.monotonic() < until:
        with contextlib.suppress(RuntimeError):  # the store is gone too
            if store.check([_GONE]):
                return str(store.get(_GONE), "utf-8")
        dead = next((f"process {rank}" for rank, pid in local if not _runs(pid)), "")
        if dead:
            with contextlib.suppress(RuntimeError):
                return str(store.compare_set(_GONE, "", dead), "utf-8")
            return dead
        time.sleep(0.05)
    return "a process"


def _runs(pid: int) -> bool:
    """Tell whether a process of this machine lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
