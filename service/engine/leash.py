"""Keeps an engine from outliving the service: `python -m service.engine.leash PID COMMAND…`.

vLLM's workers survive a kill -9 of their server (tried with 0.32: they kept 3 GB and a core). The leash runs
the command in a process group that it leads; the kernel tells it when the service dies, however that
happens, and it ends the whole group. Only the standard library: it must start at once and stay small.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(sig: int) -> None:
    """Ask the kernel for `sig` when the parent dies. Linux only; elsewhere a clean stop has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, sig)


def end_group(*_: object) -> None:
    """Kill every process of this group, this one included."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main(service_pid: int, command: list[str]) -> None:
    """Run the command; when it, the service or the leash ends, leave no process of the group behind."""
    if os.getpgrp() != os.getpid():
        os.setsid()
    die_with_parent(signal.SIGTERM)

    def ended(sig: int, _: FrameType | None) -> None:
        end_group()

    signal.signal(signal.SIGTERM, ended)
    if os.getppid() != service_pid:  # it died before the kernel was asked
        return
    child = subprocess.Popen(command, preexec_fn=lambda: die_with_parent(signal.SIGKILL))  # noqa: S603
    print(f"leash: the engine ended with status {child.wait()}", flush=True)
    end_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
