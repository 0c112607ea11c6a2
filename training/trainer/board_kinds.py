"""The boards that there are: each behind the same three verbs, each imported only where it is wanted."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from training.errors import TrainingError

Figures = Mapping[str, float]
_FLUSH_S: Final = 10
_PATIENCE_S: Final = 30.0  # with a network that is down; W&B itself waits 90 s


class Board(Protocol):
    """A place that shows figures by step."""

    def write(self, step: int, figures: Figures) -> None:
        """Show a step's figures."""

    def go_back(self, step: int) -> None:
        """Take back what was shown from this step on: it comes again."""

    def close(self) -> None:
        """Write out what is still kept back."""


class TensorBoard:
    """Event files; a resumed or rewound run purges the steps that come again."""

    def __init__(self, folder: Path, *, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            cure = "pip install tensorboard, or set tensorboard = false in [tracking]"
            raise TrainingError(f"[tracking] tensorboard: the package is missing: {cure}") from error
        self._open: Callable[[int], Any] = lambda step: SummaryWriter(
            str(folder), purge_step=step, flush_secs=_FLUSH_S
        )
        self._writer = self._open(step)

    def write(self, step: int, figures: Figures) -> None:
        """Show a step's figures."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def go_back(self, step: int) -> None:
        """Take back what was shown from this step on."""
        self._writer.close()
        self._writer = self._open(step)

    def close(self) -> None:
        """Write out what is still kept back."""
        self._writer.close()


class WandB:
    """A run of Weights & Biases. Its own step only grows, so ours is a figure, the axis of all others."""

    def __init__(self, folder: Path, *, project: str, run_name: str, config: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            cure = "pip install wandb, or leave wandb out of [tracking]"
            raise TrainingError(f"[tracking] wandb: the package is missing: {cure}") from error
        kept = folder / "wandb-id"
        if not kept.exists():
            kept.write_text(uuid.uuid4().hex)
        settings = wandb.Settings(
            silent=True, console="off", init_timeout=_PATIENCE_S, finish_timeout=_PATIENCE_S
        )
        self._run = wandb.init(
            project=project,
            name=run_name,
            id=kept.read_text().strip(),
            resume="allow",
            dir=folder,
            config=dict(config),
            settings=settings,
        )
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, figures: Figures) -> None:
        """Show a step's figures."""
        self._run.log({**figures, "step": step})

    def go_back(self, step: int) -> None:
        """Note it: W&B takes nothing back, a later value stands over the earlier one."""
        self._run.log({"rewound to": step})

    def close(self) -> None:
        """Write out what is still kept back."""
        self._run.finish()
