"""One optimizer step: gradients of a batch over all processes, measured before they change anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from training.errors import ConfigError
from training.optimization import Training
from training.packed.batches import Batch, Feed
from training.packed.order import actual
from training.trainer.parallel import World
from training.trainer.weights import Weights


@dataclass(frozen=True)
class Measured:
    """A batch before its step: `loss` in nats a target, `gradient_norm` before clipping."""

    loss: float
    bits_per_character: float
    gradient_norm: float
    targets: int
    samples: np.ndarray
    stop: bool  # some process was asked to


class Stepper:
    """The learner with its optimizer and its data. Where processes are several, all call in step."""

    def __init__(self, weights: Weights, *, feed: Feed, training: Training, world: World) -> None:
        if training.batch_rows % world.size:
            raise ConfigError(
                f"training {training.name}: a batch of {training.batch_rows} rows cannot be divided among "
                f"{world.size} processes; change batch_tokens or the number of processes"
            )
        self.weights, self.feed, self.training, self.world = weights, feed, training, world
        self.optimizer = _optimizer(weights, training=training)
        # FSDP2 averages over the processes what has to be a sum; gloo knows no other factor.
        self._share = world.size if weights.sharded else 1
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="rows")
        self._ahead: tuple[tuple[int, Any], Future[list[Batch]]] | None = None

    def samples(self, step: int, *, skips: Sequence[tuple[int, int]]) -> np.ndarray:
        """Return the actual sample numbers [batch_rows] of a step, whatever the number of processes."""
        rows = self.training.batch_rows
        return actual(np.arange(step * rows, (step + 1) * rows), skips=skips)

    def measure(self, step: int, *, skips: Sequence[tuple[int, int]], stop: bool = False) -> Measured:
        """Leave the gradients of a step's batch in the weights and return what it was like."""
        samples = self.samples(step, skips=skips)
        batches = self._read(step, skips)
        told = [sum(batch.num_targets for batch in batches), sum(batch.characters for batch in batches), stop]
        targets, characters, stopped = self.world.sum(told)
        if not targets:
            raise ConfigError(f"training {self.training.name}: step {step} has nothing to learn from")
        # The next rows are read while these are computed with.
        self._ahead = (step + 1, tuple(skips)), self._reader.submit(self._load, step + 1, skips)
        nats = 0.0
        for batch in batches:
            loss = self._forward(batch)
            (loss * (self._share / targets)).backward()  # type: ignore[no-untyped-call]
            nats += loss.item()
        [nats] = self.world.sum([nats])
        self.weights.still()
        norm = torch.nn.utils.clip_grad_norm_(self.weights.trained.values(), self.training.clip)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        bits = nats / math.log(2) / max(1.0, characters)
        return Measured(nats / targets, bits, norm.item(), int(targets), samples, bool(stopped))

    def _forward(self, batch: Batch) -> torch.Tensor:
        ids, positions, labels = (
            part.flatten().to(self.world.device, non_blocking=True)
            for part in (batch.ids, batch.positions, batch.labels)
        )
        loss: torch.Tensor = self.weights.learner(ids, positions, labels, lengths=batch.lengths)
        return loss

    def _read(self, step: int, skips: Sequence[tuple[int, int]]) -> list[Batch]:
        if self._ahead and self._ahead[0] == (step, tuple(skips)):
            return self._ahead[1].result()
        return self._load(step, skips)

    def _load(self, step: int, skips: Sequence[tuple[int, int]]) -> list[Batch]:
        """Read this process's rows, `micro_rows` at a time; together the processes read the step's."""
        mine = np.array_split(self.samples(step, skips=skips), self.world.size)[self.world.rank]
        size = self.training.micro_rows
        return [self.feed.read(mine[at : at + size]) for at in range(0, len(mine), size)]

    def apply(self, rate: float) -> None:
        """Change the weights by the gradients at this learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.weights.publish()

    def discard(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()

    def restart(self) -> None:
        """Go back to the base's weights and an optimizer that knows nothing."""
        self.discard()
        self.weights.reload()
        _forget(self.optimizer)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what a checkpoint holds: trained weights and their two moments, by name."""
        found: dict[str, torch.Tensor] = {}
        for name, weight in self.weights.trained.items():
            state = self.optimizer.state[weight]
            found[f"weight/{name}"] = weight.detach()
            found |= {f"{moment}/{name}": state[moment] for moment in ("exp_avg", "exp_avg_sq")}
        return found

    def resume(self, step: int) -> None:
        """Take up work after `tensors` were filled from a checkpoint of so many steps."""
        self.discard()
        for state in self.optimizer.state.values():
            state["step"].fill_(step)
        self.weights.publish()


def _optimizer(weights: Weights, *, training: Training) -> torch.optim.AdamW:
    """Return AdamW; matrices decay, but no norms, biases and embeddings (a rare token's row would fade)."""
    learner = weights.learner
    flat = {id(learner.model.get_input_embeddings().weight), id(learner.head)}
    parameters = dict(learner.named_weights())
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for name, weight in weights.trained.items():
        groups[weight.ndim > 1 and id(parameters[name]) not in flat].append(weight)
    optimizer = torch.optim.AdamW(
        [
            {"params": some, "weight_decay": training.weight_decay if decays else 0.0}
            for decays, some in groups.items()
            if some
        ],
        lr=training.learning_rate,
        betas=training.betas,
        eps=training.epsilon,
        fused=True,
    )
    _forget(optimizer)
    return optimizer


def _forget(optimizer: torch.optim.AdamW) -> None:
    """Set the optimizer's state to what it is before the first step, so that a checkpoint finds its place."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            optimizer.state[weight] = {
                "step": torch.zeros((), dtype=torch.float32, device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }
