"""What the processes of the tests do with checkpoints."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from training.optimization import Checkpoints as Settings
from training.trainer.checkpoints import Checkpoints
from training.trainer.parallel import world


def checkpoints(folder: Path, *, background: bool = True, **identity: Any) -> Checkpoints:
    settings = Settings(keep=2, background=background)
    return Checkpoints(folder, settings=settings, identity={"seed": 1, **identity}, world=world())


def state(seed: int) -> dict[str, torch.Tensor]:
    """Weights of a sharded model and moments of AdamW; the frozen layer is not among them."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Embedding(11, 3), torch.nn.Linear(3, 5), torch.nn.Linear(5, 2))
    model[1].requires_grad_(False)
    fully_shard(model, mesh=world().mesh())
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            tensors |= {
                name: parameter,
                f"first.{name}": parameter.detach() * 2,
                f"step.{name}": torch.tensor(7.0),
            }
    return tensors


def whole(tensors: Mapping[str, torch.Tensor]) -> dict[str, list[Any]]:
    return {
        name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).tolist()
        for name, tensor in tensors.items()
    }


def save(folder: Path, step: int) -> dict[str, list[Any]]:
    tensors = state(seed=step)
    kept = checkpoints(folder)
    before = whole(tensors)
    kept.save(step, tensors=tensors, facts={"step": step})
    for tensor in tensors.values():  # the loop goes on with its tensors at once
        tensor.detach().zero_()
    kept.wait()
    return before


def load(folder: Path) -> dict[str, list[Any]]:
    tensors = state(seed=0)
    kept = checkpoints(folder)
    found = kept.restore(kept.found(), tensors=tensors)
    assert found is not None and found.facts == {"step": found.step}
    return whole(tensors)


def numbers(step: int) -> dict[str, torch.Tensor]:
    return {"a": torch.full((200_000,), float(step)), "b": torch.full((3,), -float(step))}


def saved(folder: Path, *steps: int, **settings: int) -> Checkpoints:
    kept = Checkpoints(folder, settings=Settings(**settings), identity={"seed": 1}, world=world())
    for step in steps:
        kept.save(step, tensors=numbers(step), facts={"step": step, "skips": [[3, 5]]})
    kept.wait()
    return kept


def steps(kept: Checkpoints) -> list[int]:
    return [found.step for found in kept.found()]


def save_for_ever(folder: Path) -> None:
    kept = checkpoints(folder)
    step = kept.last_step() or 0
    while True:
        step += 1
        kept.save(step, tensors=numbers(step), facts={"step": step})


def save_with_little_room(folder: Path, background: bool, short: int) -> None:
    """Save once as is, then with files of a process limited to 100 kB: a real EFBIG from the system."""
    kept = checkpoints(folder, background=background)
    tensors = {"a": distribute_tensor(torch.ones(400_000), world().mesh(), [Shard(0)])}
    kept.save(1, tensors=tensors, facts={})
    kept.wait()
    if world().rank == short:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    kept.save(2, tensors=tensors, facts={})
    kept.wait()


def die_in_a_save(folder: Path) -> None:
    here = world()
    kept = checkpoints(folder)
    kept.save(1, tensors=numbers(1), facts={})
    kept.wait()
    if here.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    with here.collective_errors(kept.last_step):
        kept.save(2, tensors=numbers(2), facts={})
        kept.wait()
