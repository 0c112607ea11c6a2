"""What a rewind was, and the file that keeps all of them: read and written whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ConfigDict, TypeAdapter

from training.errors import CheckpointError

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rewind:
    """The run went back from `step`, which was not applied, to the state before `to_step`.

    `skipped`: half-open range of the samples' own numbers, `skipped_steps` of the steps that took them.
    `attempt`: 1 for the first in its place. `time`: seconds since 1970.
    """

    step: int
    loss: float
    gradient_norm: float
    reason: str
    to_step: int
    skipped: Range
    skipped_steps: Range
    attempt: int
    time: float


_STORED: Final = TypeAdapter(tuple[Rewind, ...], config=ConfigDict(ser_json_inf_nan="strings"))


def load_history(path: Path) -> tuple[Rewind, ...]:
    """Read the rewinds, oldest first; none where there is no file. Raises CheckpointError."""
    if not path.exists():
        return ()
    try:
        return _STORED.validate_json(path.read_bytes())
    except ValueError as error:
        cure = "restore the file, or remove the folder and begin the stage anew"
        raise CheckpointError(f"{path}: the record of rewinds is damaged; {cure}: {error}") from error


def save_history(path: Path, history: tuple[Rewind, ...]) -> None:
    """Replace the file whole: a kill or a full disk leaves the one that was."""
    fresh = path.with_name(f".{path.name}.fresh")
    with fresh.open("wb") as file:
        file.write(_STORED.dump_json(history, indent=1))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
