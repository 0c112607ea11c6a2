"""Reading one checkpoint into any number of processes: first every byte is held against its checksum."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import torch
import torch.distributed as dist
import xxhash
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load

from training.errors import CheckpointError
from training.trainer import fitting
from training.trainer.peers import together
from training.trainer.stored_state import Found

_BLOCK: Final = 2**22  # 4 MiB
_log = logging.getLogger(__name__)


def last_whole(candidates: Sequence[Found], *, group: dist.ProcessGroup) -> Found:
    """Return the last of some checkpoints whose files are what was saved; warn of those passed over.

    Each process reads its share of the files. Raises CheckpointError where none is whole.
    """
    damage = ""
    for found in reversed(candidates):
        names = sorted(found.files)[dist.get_rank(group) :: dist.get_world_size(group)]
        damages = together(partial(_changed, found, names=names), group=group)
        damage = next(filter(None, damages), "")
        if not damage:
            return found
        if dist.get_rank(group) == 0:
            warn(found.step, damage)
    steps = ", ".join(str(found.step) for found in candidates)
    raise CheckpointError(
        f"{damage}; no checkpoint of step {steps} is whole: remove what is damaged to go on from an "
        "earlier one or from the start"
    )


def warn(step: int, damage: str) -> None:
    """Log that a checkpoint is not used, and why."""
    _log.warning("the checkpoint of step %d is passed over: %s", step, damage)


def read(
    found: Found,
    *,
    tensors: Mapping[str, torch.Tensor],
    identity: Mapping[str, Any],
    group: dist.ProcessGroup,
) -> None:
    """Read a checkpoint into `tensors`, in place. Raises CheckpointError where it is not of this run."""
    reader = FileSystemReader(found.folder)
    fitting.require_same_run(found, identity=identity)
    fitting.require_same_tensors(found, stored=reader.read_metadata(), tensors=tensors)
    load(dict(tensors), storage_reader=reader, process_group=group)


def _changed(found: Found, *, names: Iterable[str]) -> str:
    for name in names:
        checksum = xxhash.xxh3_128()
        try:
            with (found.folder / name).open("rb", buffering=0) as file:
                while block := file.read(_BLOCK):
                    checksum.update(block)
        except OSError as error:
            return f"{found.folder / name}: {error.strerror}"
        if checksum.hexdigest() != found.files[name][1]:
            return f"{found.folder / name} is damaged: its checksum is another"
    return ""
