"""One loop on a laptop, a GPU and a cluster: which process this is, its device, what all of them agree on.

Rank: number of a process among all; local rank: among those of its machine, which is also its GPU's number.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore, Store
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.rendezvous import rendezvous

from training.errors import ConfigError, TrainingError
from training.trainer.peers import gone, lost, together
from training.trainer.placement import Place, device_of, number_of, place

_T = TypeVar("_T")


@dataclass(frozen=True)
class World:
    """The processes of the run, seen from one of them: where each runs, by rank; what they met in."""

    rank: int
    size: int
    local_rank: int
    device: torch.device
    places: tuple[Place, ...]
    store: Store

    @property
    def main(self) -> bool:
        """Tell whether this process speaks for all: prints, logs, publishes."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all processes, in rank order and float64: the same bits everywhere."""
        rows = torch.empty(self.size, len(values), dtype=torch.float64)  # on the CPU: by gloo
        dist.all_gather_single(rows, torch.tensor([values], dtype=torch.float64))
        return [sum(column) for column in rows.T.tolist()]

    def barrier(self) -> None:
        """Wait until every process is here."""
        dist.all_reduce(torch.zeros(1))  # on the CPU: dist.barrier would take a GPU for it

    def broadcast_object(self, value: _T) -> _T:
        """Return rank 0's value in every process."""
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def mesh(self) -> DeviceMesh:
        """Return the mesh that parameters are sharded over: one dimension, "shard", of all processes."""
        return _mesh(self.device.type, self.size)

    @contextmanager
    def collective_errors(self, last_checkpoint: Callable[[], int | None]) -> Iterator[None]:
        """Turn the failure of a collective into a TrainingError that names the process that is gone."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not lost(error):
                raise
            step = last_checkpoint()
            raise TrainingError(
                f"{gone(self.places, store=self.store)} of {self.size} is gone; "
                f"{'there is no checkpoint yet' if step is None else f'the last checkpoint is step {step}'}: "
                "start the same command again to go on"
            ) from error


@functools.cache
def world() -> World:
    """Return the processes that torchrun started, or this one alone; torch.distributed is up afterwards.

    Processes of one CPU machine share its cores. Raises ConfigError where torchrun's variables are not whole,
    or a process has no GPU.
    """
    rank, size, local_rank = number_of("RANK", 0), number_of("WORLD_SIZE", 1), number_of("LOCAL_RANK", 0)
    device = device_of(local_rank)
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    store: Store = HashStore()
    try:
        if "RANK" in os.environ:
            store, rank, size = next(rendezvous("env://"))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    except (ValueError, dist.DistError) as error:
        raise ConfigError(f"process {rank} of {size} finds no other: {error}; start with torchrun") from error
    atexit.register(dist.destroy_process_group)
    if (local_size := number_of("LOCAL_WORLD_SIZE", 1)) > 1:  # torchrun sets OMP_NUM_THREADS=1
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // local_size))
    return World(rank, size, local_rank, device, tuple(together(place)), store)


@functools.cache
def _mesh(kind: str, size: int) -> DeviceMesh:
    return init_device_mesh(kind, (size,), mesh_dim_names=("shard",))
