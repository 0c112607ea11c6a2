"""The weights of a learner: read from a checkpoint, trained in float32, computed with in bfloat16.

Alone, a process keeps the compute copies in the module and the trained weights beside them in float32;
several share them by FSDP2 (`fully_shard`), which does the same with a shard each. Frozen weights have
neither a float32 copy nor a gradient, and go back into a checkpoint as the bytes that they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from training.errors import CheckpointError
from training.swap.checkpoint import DTYPES
from training.swap.stored import Stored, find_tensors
from training.trainer.learner import Learner
from training.trainer.parallel import World

PRECISIONS: Final = {"bf16": torch.bfloat16, "float32": torch.float32}


class Weights:
    """`trained`: the float32 weights by name, what the optimizer works on; shards where there are several."""

    def __init__(
        self, learner: Learner, folder: Path, *, precision: Literal["bf16", "float32"], world: World
    ) -> None:
        self.learner, self.folder, self.world = learner, folder, world
        self.dtype = PRECISIONS[precision]
        self.sharded = world.size > 1
        if self.sharded:
            _shard(learner, dtype=self.dtype, mesh=world.mesh())
            _move(learner, lambda one: torch.empty_like(one, device=world.device) if one.is_meta else one)
        else:
            _materialise(learner, dtype=self.dtype, device=world.device)
        _move(learner, lambda one: one.to(world.device))  # buffers
        self.trained: dict[str, nn.Parameter] = {}
        for name, parameter in learner.named_weights():
            if parameter.requires_grad:
                self.trained[name] = self._master(parameter)
        self._moving: dict[str, torch.Tensor] = {}
        self.reload()

    def hold(self, rows: Sequence[int]) -> None:
        """Let these rows of embedding and head be as they are: `still` clears their gradients."""
        model = self.learner.model
        ends = {id(model.get_input_embeddings().weight), id(self.learner.head)}
        for name, parameter in self.learner.named_weights():
            if id(parameter) in ends:
                moving = torch.ones(parameter.shape[0], 1, device=self.world.device)
                moving[list(rows)] = 0
                if isinstance(parameter, DTensor):
                    mesh, placements = parameter.device_mesh, parameter.placements
                    self._moving[name] = distribute_tensor(moving, mesh, placements, src_data_rank=None)
                else:
                    self._moving[name] = moving

    def still(self) -> None:
        """Clear the gradients of held rows: AdamW, which decays no embeddings, leaves them alone."""
        for name, moving in self._moving.items():
            gradient = self.trained[name].grad
            assert gradient is not None
            gradient.mul_(moving)

    def _master(self, parameter: nn.Parameter) -> nn.Parameter:
        """Return the float32 weight of a trained parameter, which collects its gradients in float32."""
        if self.sharded or self.dtype is torch.float32:
            return parameter
        master = nn.Parameter(torch.empty_like(parameter, dtype=torch.float32))

        def collect(computed: torch.Tensor) -> None:
            assert computed.grad is not None
            if master.grad is None:
                master.grad = computed.grad.float()
            else:
                master.grad += computed.grad
            computed.grad = None

        parameter.register_post_accumulate_grad_hook(collect)  # type: ignore[no-untyped-call]
        return master

    @torch.no_grad()
    def reload(self) -> None:
        """Take all weights from the base's files again. Raises CheckpointError where they do not fit."""
        stored = {tensor.name: tensor for tensor in find_tensors(self.folder)}
        for name, parameter in self.learner.named_weights():
            value = _read(name, stored=stored, shape=tuple(parameter.shape), folder=self.folder)
            if isinstance(parameter, DTensor):
                value = value.to(self.world.device, torch.float32)
                value = distribute_tensor(
                    value, parameter.device_mesh, parameter.placements, src_data_rank=None
                )
            parameter.copy_(value)
            if name in self.trained:
                self.trained[name].copy_(value)

    @torch.no_grad()
    def publish(self) -> None:
        """Give the module what the optimizer has made of the trained weights."""
        if self.sharded or self.dtype is torch.float32:
            return
        for name, parameter in self.learner.named_weights():
            if name in self.trained:
                parameter.copy_(self.trained[name])

    def full(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield each trained weight whole, float32, on the CPU. All processes go through it together."""
        for name, weight in self.trained.items():
            value = weight.detach()
            yield name, (value.full_tensor() if isinstance(value, DTensor) else value).cpu()


def _move(learner: Learner, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    learner._apply(change)  # type: ignore[no-untyped-call]


def _shard(learner: Learner, *, dtype: torch.dtype, mesh: DeviceMesh) -> None:
    policy = MixedPrecisionPolicy(
        param_dtype=None if dtype is torch.float32 else dtype, reduce_dtype=torch.float32
    )
    for layer in learner.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(learner, mesh=mesh, mp_policy=policy)


def _materialise(learner: Learner, *, dtype: torch.dtype, device: torch.device) -> None:
    """Put empty compute weights where the meta ones are; what was tied stays tied."""
    made: dict[int, nn.Parameter] = {}
    for module in learner.modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in made:
                empty = torch.empty(parameter.shape, dtype=dtype, device=device)
                made[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
            module._parameters[name] = made[id(parameter)]


def _read(name: str, *, stored: Mapping[str, Stored], shape: tuple[int, ...], folder: Path) -> torch.Tensor:
    """Return a tensor as it lies in its file. Raises CheckpointError where it is missing, or no weight."""
    if (tensor := stored.get(name)) is None:
        raise CheckpointError(f"{folder}: has no tensor {name}, which the model of its config.json needs")
    if tensor.shape != shape:
        raise CheckpointError(f"{tensor.file}: {name} is {list(tensor.shape)}, the model needs {list(shape)}")
    if tensor.dtype not in DTYPES:
        raise CheckpointError(f"{tensor.file}: {name} is {tensor.dtype}; can be trained: {', '.join(DTYPES)}")
    dtype = DTYPES[tensor.dtype]
    bits = np.dtype(f"i{dtype.itemsize}")  # numpy has no bfloat16
    mapped = np.memmap(tensor.file, dtype=bits, mode="r", offset=tensor.begin, shape=tensor.shape)
    value = torch.from_numpy(np.array(mapped)).view(dtype)
    if not torch.isfinite(value).all():
        raise CheckpointError(
            f"{tensor.file}: {name} holds NaN or infinity: a model of that cannot be trained"
        )
    return value
