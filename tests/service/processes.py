"""Which processes live, read from /proc, so that tests can tell that none was left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def stats() -> Iterator[tuple[int, int, int, str]]:
    """Yield pid, parent, process group and command line of every process that is not a zombie."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it ended while we looked
        if state not in "ZX":
            yield int(folder.name), int(parent), int(group), command


def members(group: int) -> dict[int, str]:
    """Return the living processes of a group, pid to command."""
    return {pid: command for pid, _, found, command in stats() if found == group}


def children(parent: int, *, command: str) -> list[int]:
    """Return a process's children whose command line holds a text."""
    return [pid for pid, above, _, line in stats() if above == parent and command in line]


def leashes(parent: int | None = None) -> list[int]:
    """Return the leashes that a process (this one) holds; each leads the group of its engine."""
    return children(os.getpid() if parent is None else parent, command="service.engine.leash")


def wait_until(condition: Callable[[], object], *, within_s: float = 5.0) -> None:
    """Poll in a test without an event loop."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < within_s, "not in time"
        time.sleep(0.01)
