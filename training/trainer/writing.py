"""Writing one checkpoint: all processes fill a folder; one publishes it and removes what is not kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_saver import save
from torch.utils.serialization import config

from models.folders import DISK_FULL
from training.errors import CheckpointError
from training.optimization import Checkpoints as Settings
from training.trainer import stored_state
from training.trainer.disk import CheckedWriter
from training.trainer.peers import once, together
from training.trainer.stored_state import Found, Stamp


@dataclass(frozen=True)
class Target:
    """Where a run's checkpoints go: its folder, the rule of what is kept, its identity, its processes."""

    root: Path
    settings: Settings
    identity: Mapping[str, Any]
    group: dist.ProcessGroup


def write(
    step: int, *, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any], target: Target
) -> None:
    """Write and publish a checkpoint, in every process at once.

    Raises CheckpointError in all of them where one has no room or no right to write; nothing is left of it.
    """
    partial = stored_state.partial_of(step, root=target.root)
    writer = CheckedWriter(partial)
    try:
        with config.patch("save.compute_crc32", False):  # type: ignore[attr-defined]  # a third of the time
            save(dict(tensors), storage_writer=writer, process_group=target.group)
        stamps = together(lambda: writer.stamps, group=target.group)
        files = {name: stamp for of_rank in stamps for name, stamp in of_rank.items()}
        once(lambda: _publish(step, files=files, facts=facts, target=target), group=target.group)
    except CheckpointException as error:  # a BaseException, of what failed by rank
        failures = [failure for failure, _ in error.failures.values()]
        first = next((failure for failure in failures if isinstance(failure, OSError)), failures[0])
        raise _explained(first, step=step, tensors=tensors, target=target) from first
    except OSError as error:
        raise _explained(error, step=step, tensors=tensors, target=target) from error
    finally:
        if dist.get_rank(target.group) == 0:  # gone by now if it was published
            shutil.rmtree(partial, ignore_errors=True)


def _publish(step: int, *, files: Mapping[str, Stamp], facts: Mapping[str, Any], target: Target) -> None:
    folder = stored_state.folder_of(step, root=target.root)
    partial = stored_state.partial_of(step, root=target.root)
    stored_state.publish(Found(step, folder, facts, target.identity, files), partial=partial)
    whole, damaged = stored_state.listing(target.root)
    steps = [found.step for found in whole]
    stale = {*steps[: -target.settings.keep], *(bad for bad in damaged if bad < steps[-1])} - {step}
    milestone = target.settings.milestone
    stored_state.discard((old for old in stale if not milestone or old % milestone), root=target.root)


def _explained(
    error: BaseException, *, step: int, tensors: Mapping[str, torch.Tensor], target: Target
) -> CheckpointError:
    """Return the error in words: what, where, what is left."""
    whole, _ = stored_state.listing(target.root)
    left = f"the checkpoint of step {whole[-1].step} is intact" if whole else "there is none before it"
    what = f"the checkpoint of step {step} cannot be written"
    if not isinstance(error, OSError):
        return CheckpointError(f"{what}: {error!r}; {left}")
    if error.errno not in DISK_FULL:
        return CheckpointError(f"{what}: {error.filename or target.root}: {error.strerror}; {left}")
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) / 2**20
    free = shutil.disk_usage(target.root).free / 2**20
    return CheckpointError(
        f"{what}: no room in {target.root} ({error.strerror}): it takes {needed:,.1f} MiB, "
        f"{free:,.1f} are free; {left}: make room and start the same command again"
    )
