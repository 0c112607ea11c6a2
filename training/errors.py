"""What can be wrong with a training run: every message is one line that says where and what to do.

TrainingError
├── ConfigError     a run file that cannot be read or breaks its schema
├── CorpusError     a text that cannot be read, named by file and line; or a corpus of nothing
├── TokenizerError  a tokenizer that cannot be had, trained or trusted
├── CheckpointError a base, its weights or a saved state that is missing, damaged or does not fit
├── SpikeError      a loss that explodes again and again in one place
└── Interrupted     a person or the scheduler asked to stop; the state is saved

`__main__` prints the text of any of them and exits with 1, without a traceback.
"""

from __future__ import annotations

from pathlib import Path


class TrainingError(Exception):
    """Base of the tree; its text is brought to one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(TrainingError, ValueError):
    """A run file cannot be read or breaks its schema."""


class CorpusError(TrainingError):
    """A text cannot be read: `place` is the file, with the line where there is one."""

    def __init__(self, message: str, *, place: Path | str | None = None, line: int | None = None) -> None:
        where = "" if place is None else f"{place}: " if line is None else f"{place}:{line}: "
        super().__init__(where + message)

    def __reduce__(self) -> tuple[type[TrainingError], tuple[str]]:
        """Come whole out of another process."""
        return TrainingError, (str(self),)


class TokenizerError(TrainingError):
    """A tokenizer cannot be had, trained or trusted."""


class CheckpointError(TrainingError):
    """A base, its weights or a saved state is missing, damaged or does not fit."""


class SpikeError(TrainingError):
    """The loss exploded in one place as often as the guard was allowed to go back."""


class Interrupted(TrainingError):
    """A signal asked the run to stop; its state was saved first."""
