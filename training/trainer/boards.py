"""Where people watch the figures: TensorBoard, Weights & Biases, both or none. None can end a training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.optimization import Tracking
from training.trainer.board_kinds import Board, TensorBoard, WandB

_log = logging.getLogger(__name__)


class Boards:
    """Several boards as one. A board that fails is named in a warning, once, and left out from then on."""

    def __init__(self, makers: Sequence[Callable[[], Board]], *, every_steps: int = 1) -> None:
        self._every_steps = every_steps
        self._boards: list[Board] = []
        for make in makers:
            self._try(partial(self._add, make))

    def write(self, step: int, figures: Mapping[str, float | None]) -> None:
        """Show the figures that there are, every so many steps."""
        if step % self._every_steps == 0:
            known = {name: value for name, value in figures.items() if value is not None}
            self._each(lambda board: board.write(step, known))

    def go_back(self, step: int) -> None:
        """Take back what was shown from this step on."""
        self._each(lambda board: board.go_back(step))

    def close(self) -> None:
        """Write out what is still kept back."""
        self._each(lambda board: board.close())

    def _add(self, make: Callable[[], Board]) -> None:
        self._boards.append(make())

    def _each(self, act: Callable[[Board], None]) -> None:
        self._boards = [board for board in self._boards if self._try(partial(act, board))]

    def _try(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except TrainingError:
            raise
        except Exception as error:  # whatever a network or a foreign package comes up with
            _log.warning("a board failed; training goes on without it: %s: %s", type(error).__name__, error)
            return False
        return True


def open_boards(
    tracking: Tracking, *, folder: Path, run_name: str, config: Mapping[str, Any], step: int = 0
) -> Boards:
    """Open the boards of a run file; `step` is the next to take. Raises TrainingError without a package."""
    makers: list[Callable[[], Board]] = []
    if tracking.tensorboard:
        makers.append(lambda: TensorBoard(folder / "tensorboard", step=step))
    if project := tracking.wandb:
        makers.append(lambda: WandB(folder, project=project, run_name=run_name, config=config))
    return Boards(makers, every_steps=tracking.every_steps)
