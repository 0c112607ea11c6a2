"""The saved states of a stage: written while the loop goes on, whole or absent, read by any processes.

torch.distributed.checkpoint writes the tensors, each process its shards, and reshards them for whoever reads;
what is around it here keeps a kill, a full disk or a flipped bit from costing more than the newest state.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from training.optimization import Checkpoints as Settings
from training.trainer import reading, stored_state
from training.trainer.parallel import World
from training.trainer.peers import once
from training.trainer.stored_state import Found
from training.trainer.writing import Target, write

Tensors = Mapping[str, torch.Tensor]  # plain or DTensor, by name


class Checkpoints:
    """The checkpoints of one run in `folder`; `identity` (JSON) tells it from all others.

    All methods but `due` and `last_step` are collective: every process calls them, in the same order, and
    sees the same outcome, errors included.
    """

    def __init__(
        self, folder: Path, *, settings: Settings, identity: Mapping[str, Any], world: World
    ) -> None:
        self._folder, self._settings, self._world = folder, settings, world
        self._group = dist.new_group(backend="gloo")  # of its own: the loop uses the default one meanwhile
        self._target = Target(folder, settings, identity, self._group)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._unfinished: Future[None] | None = None
        gpu = world.device.type == "cuda"
        self._stager = DefaultStager(StagingOptions(gpu, False, False, gpu))  # pinned; not shared; at once
        once(lambda: stored_state.prepare(folder), group=self._group)

    def due(self, step: int) -> bool:
        """Tell whether a state is to be saved after so many steps."""
        return step > 0 and step % self._settings.every_steps == 0

    def last_step(self) -> int | None:
        """Return the step of the newest whole checkpoint."""
        whole, _ = stored_state.listing(self._folder)
        return whole[-1].step if whole else None

    def save(self, step: int, *, tensors: Tensors, facts: Mapping[str, Any]) -> float:
        """Save a state; return for how many seconds the loop stood still.

        In the background that is the time to copy the tensors, and to wait for an earlier save. `facts`
        (JSON) are rank 0's. Raises CheckpointError, also for an earlier save that failed.
        """
        begun = time.monotonic()
        facts = json.loads(json.dumps(facts))  # as they are now, and as they will be read
        self.wait()
        if self._settings.background:
            staged = cast(dict[str, torch.Tensor], self._stager.stage(dict(tensors)))
            self._unfinished = self._thread.submit(
                write, step, tensors=staged, facts=facts, target=self._target
            )
        else:
            write(step, tensors=tensors, facts=facts, target=self._target)
        return time.monotonic() - begun

    def wait(self) -> None:
        """Wait until the last save is on the disk. Raises CheckpointError where it failed."""
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            unfinished.result()

    def found(self) -> list[Found]:
        """Return the whole checkpoints, by step; a truncated one is left out with a warning."""
        self.wait()
        whole, damaged = once(lambda: stored_state.listing(self._folder), group=self._group)
        if self._world.main:
            for step, damage in sorted(damaged.items()):
                reading.warn(step, damage)
        return whole

    def restore(self, candidates: Sequence[Found], *, tensors: Tensors) -> Found | None:
        """Load the last of these that is whole to the bit, and return it; None where there are none.

        A damaged one is passed over with a warning. Raises CheckpointError where all are, and as `load`.
        """
        self.wait()
        if not candidates:
            return None
        found = reading.last_whole(candidates, group=self._group)
        reading.read(found, tensors=tensors, identity=self._target.identity, group=self._group)
        return found

    def load(self, found: Found, *, tensors: Tensors) -> Mapping[str, Any]:
        """Read a state into `tensors`, in place; return its facts.

        Raises CheckpointError where it is another run's, damaged, or has not exactly these tensors.
        """
        self.restore([found], tensors=tensors)
        return found.facts

    def forget(self, steps: Iterable[int]) -> None:
        """Remove the checkpoints of these steps, as those that a rewind left behind."""
        self.wait()
        once(lambda: stored_state.discard(steps, root=self._folder), group=self._group)
