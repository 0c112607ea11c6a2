"""Documents become token ids on disk once, a stream a shard, so that no later stage reads a text again.

FOLDER/tokens/DOMAIN/SHARD.ids, .lengths (tokens a document) and, for dialogues, .trained; SHARD.json, written
last, says that the shard is whole, so that a killed run goes on with the next one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from training.errors import TokenizerError
from training.packed.files import write_json
from training.packed.meta import read_characters, read_meta

TOKENS: Final = "tokens"
LENGTH: Final = np.dtype("<u4")
_LEAST: Final = 2  # tokens of a document: one to read and one to foretell


@dataclass(frozen=True)
class Counts:
    """What a shard holds. `targets`: tokens to be foretold; `characters`: those that the targets begin."""

    documents: int = 0
    tokens: int = 0
    targets: int = 0
    characters: int = 0

    @property
    def inputs(self) -> int:
        """Return the positions that the tokens take in rows: all but each document's last token."""
        return self.tokens - self.documents

    def __add__(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class TokenWriter:
    """Write one shard of a domain into a store that is there already (`meta.create_store`)."""

    def __init__(self, folder: Path, *, domain: str, shard: str = "00000") -> None:
        self._meta = read_meta(folder)
        self._characters = read_characters(folder, meta=self._meta)
        self._path = folder / TOKENS / domain / shard
        self._lengths: list[int] = []
        self._masked: bool | None = None
        self._tokens = self._targets = self._num_characters = 0

    @property
    def counts(self) -> Counts:
        """Return what was added so far."""
        return Counts(len(self._lengths), self._tokens, self._targets, self._num_characters)

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.with_name(f"{self._path.name}.json").unlink(missing_ok=True)
        self._open = ExitStack()
        self._ids, self._marks, self._ends = map(self._file, ("ids", "trained", "lengths"))
        return self

    def add(self, ids: ArrayLike, *, trained: ArrayLike | None = None) -> None:
        """Write a document as it stands, BOS and EOS included: two tokens or more.

        `trained`, of the same length, tells which tokens are targets; all documents of a domain have it, or
        none. The first token is no target in any case. Raises TokenizerError for an id beyond the vocabulary.
        """
        given = np.asarray(ids, np.int64)
        if len(given) < _LEAST:
            raise ValueError(f"a document has {_LEAST} tokens or more, not {len(given)}")
        low, high = int(given.min()), int(given.max())
        if low < 0 or high >= self._meta.vocab_size:
            wrong = low if low < 0 else high
            raise TokenizerError(
                f"{self._path}: there is no id {wrong} in a vocabulary of {self._meta.vocab_size:,}"
            )
        if self._masked is not None and self._masked != (trained is not None):
            raise ValueError("all documents of a domain tell which tokens are trained, or none does")
        targets = given[1:]
        if trained is not None:
            mask = np.asarray(trained, np.bool_)
            if mask.shape != given.shape:
                raise ValueError(f"{len(mask)} marks for {len(given)} tokens")
            self._marks.write(mask.tobytes())
            targets = targets[mask[1:]]
        self._masked = trained is not None
        self._ids.write(given.astype(self._meta.dtype).tobytes())
        self._lengths.append(len(given))
        self._tokens += len(given)
        self._targets += len(targets)
        self._num_characters += int(self._characters[targets].sum())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._open:
            if kind is not None:
                return
            self._ends.write(np.array(self._lengths, LENGTH).tobytes())
            for file in (self._ids, self._marks, self._ends):
                file.flush()
                os.fsync(file.fileno())
        told = asdict(self.counts) | {"masked": bool(self._masked)}
        write_json(self._path.with_name(f"{self._path.name}.json"), told)

    def _file(self, suffix: str) -> Any:
        return self._open.enter_context(self._path.with_name(f"{self._path.name}.{suffix}").open("wb"))
