"""The files of one bulk run: results, bad rows, what the run is about; and where to go on after any end."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import orjson

_ENDS_BYTES: Final = (
    2**20
)  # hashed at the beginning and at the end of the input; a million rows are gigabytes
_BUFFER_BYTES: Final = 2**16


class OutputError(Exception):
    """The output cannot be written or belongs to another run; one line that says which file and why."""


@dataclass(slots=True)
class Totals:
    """What stands in the two files together."""

    rows: int = 0
    with_model: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def num_errors(self) -> int:
        """All bad rows."""
        return sum(self.errors.values())


class Ledger:
    """Appends each row's one line to OUT.jsonl or OUT.errors.jsonl, in the order of the input.

    OUT.state.json says what the run is about, and is written first. How far the run came is read off the two
    files: the last row up to which none is missing. What stands beyond (a torn line, rows of one file that
    were written before those of the other) is cut off and done again. One process at a time holds a ledger.
    """

    def __init__(self, out: Path) -> None:
        if out.suffix != ".jsonl":
            raise OutputError(f"{out}: the output's name must end in .jsonl")
        self.out = out
        self.errors = out.with_suffix(".errors.jsonl")
        self.state = out.with_suffix(".state.json")
        self.totals = Totals()
        self._files: list[_Appender] = []

    def open(self, about: Mapping[str, Any], *, restart: bool) -> None:
        """Begin, or go on where the last run with the same `about` stopped; `totals` tells where.

        Raises:
            OutputError: another run is at it, it was about something else, or the files are no run's at all.

        """
        try:
            self._files.append(_Appender(self.out))
            self._files.append(_Appender(self.errors))
            if restart:
                self.state.unlink(missing_ok=True)
                for file in self._files:
                    file.cut(0)
            self._check(about)
            _write_atomically(self.state, orjson.dumps(about, option=orjson.OPT_INDENT_2))
            self._resume()
        except OSError as error:
            raise OutputError(f"{error.filename or self.out}: {error.strerror}") from None

    def add(self, row: int, entry: Mapping[str, Any]) -> None:
        """Append the line of the next row: a result, or a `problem`."""
        if row != self.totals.rows:
            raise ValueError(f"row {row} does not follow {self.totals.rows - 1}")
        line = orjson.dumps({"row": row, **entry}) + b"\n"
        try:
            self._files["problem" in entry].add(line)
        except OSError as error:
            raise self._fault(error) from None
        _count(self.totals, entry)

    def flush(self) -> None:
        """Hand everything to the operating system: a kill loses nothing of it."""
        try:
            for file in self._files:
                file.flush()
        except OSError as error:
            raise self._fault(error) from None

    def close(self) -> None:
        """Release the files; call `flush` before."""
        while self._files:
            self._files.pop().close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, about: Mapping[str, Any]) -> None:
        try:
            before = orjson.loads(self.state.read_bytes())
        except FileNotFoundError:
            if any(file.size for file in self._files):
                raise OutputError(
                    f"{self.out}: was not begun by this command; --restart overwrites it"
                ) from None
            return
        except ValueError:
            before = {}
        if differing := [name for name in about if before.get(name) != about[name]]:
            raise OutputError(
                f"{self.out}: was begun with another {', '.join(differing)}; --restart begins anew"
            )

    def _resume(self) -> None:
        """Walk through both files side by side, as far as the rows follow one another."""
        totals = self.totals = Totals()
        lines = [_lines(file.path) for file in self._files]
        heads = [next(one, None) for one in lines]
        ends = [0, 0]
        while True:
            which = next(
                (n for n in (0, 1) if (head := heads[n]) and head[0].get("row") == totals.rows), None
            )
            if which is None:
                break
            head = heads[which]
            assert head is not None
            entry, ends[which] = head
            _count(totals, entry)
            heads[which] = next(lines[which], None)
        for file, end in zip(self._files, ends, strict=True):
            file.cut(end)

    def _fault(self, error: OSError) -> OutputError:
        return OutputError(
            f"{error.filename or self.out}: {error.strerror}; what is written stays, the same command goes on"
        )


class _Appender:
    """A file that grows at its end, locked; what a full disk did not take is written by the next flush."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._waiting = bytearray()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise OutputError(f"{path}: another process writes it") from None

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    def cut(self, size: int) -> None:
        os.ftruncate(self._file, size)

    def add(self, line: bytes) -> None:
        self._waiting += line
        if len(self._waiting) >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        while self._waiting:
            try:
                del self._waiting[: os.write(self._file, self._waiting)]
            except OSError as error:
                error.filename = self.path
                raise

    def close(self) -> None:
        os.close(self._file)


def describe_input(path: Path) -> dict[str, Any]:
    """Return what tells one input from another: size, and a hash of its beginning and its end."""
    size = path.stat().st_size
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        sha256.update(file.read(_ENDS_BYTES))
        file.seek(max(0, size - _ENDS_BYTES))
        sha256.update(file.read(_ENDS_BYTES))
    return {"bytes": size, "sha256_of_ends": sha256.hexdigest()}


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each entry and the offset of its end, up to the first line that is torn or none of ours."""
    end = 0
    with path.open("rb") as file, contextlib.suppress(orjson.JSONDecodeError):
        for line in file:
            entry = orjson.loads(line)
            if not (
                line.endswith(b"\n") and isinstance(entry, dict) and {"result", "problem"} & entry.keys()
            ):
                return
            end += len(line)
            yield entry, end


def _count(totals: Totals, entry: Mapping[str, Any]) -> None:
    totals.rows += 1
    if "problem" in entry:
        totals.errors[entry["problem"]["code"]] += 1
    elif entry["result"].get("model") is not None:
        totals.with_model += 1


def _write_atomically(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
