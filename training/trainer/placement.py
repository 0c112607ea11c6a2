"""Where a process stands: on which machine, with which device, as its launcher says by variables."""

from __future__ import annotations

import os
import socket

import torch

from training.errors import ConfigError

Place = tuple[str, int]  # host, process id


def place() -> Place:
    """Return where this process runs."""
    return socket.gethostname(), os.getpid()


def device_of(local_rank: int) -> torch.device:
    """Return the GPU of a process, made its default, or the CPU. Raises ConfigError for too few GPUs."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= (num := torch.cuda.device_count()):
        raise ConfigError(
            f"process {local_rank} of this machine has no GPU: it has {num}; start no more processes"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def number_of(name: str, default: int) -> int:
    """Return a number that torchrun sets. Raises ConfigError where it is none."""
    value = os.environ.get(name, str(default))
    if not value.isdecimal():
        raise ConfigError(f"the variable {name} is no number: {value!r}; start with torchrun")
    return int(value)
