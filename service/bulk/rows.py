"""Reads files of rows, JSONL or Parquet: one bad row is a value like any other, and memory stays flat."""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

import orjson

MAX_ROW_BYTES: Final = 2**20  # of one line; a listing's longest description is 30 kB
_SUFFIXES: Final = ("jsonl", "ndjson", "parquet")
_PACKED: Final = ("gz", "zst")
_BOM: Final = b"\xef\xbb\xbf"
_BATCH_ROWS: Final = 256  # of Parquet, decoded at once
_BUFFER_BYTES: Final = 2**20  # of Parquet, read ahead per column, instead of a whole row group
_CHUNK_BYTES: Final = 2**20


class InputError(Exception):
    """The file cannot be read, or no further; one line that says which and why."""


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a row is none: a stable code, and the reason in words."""

    code: str
    reason: str


Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Iterator[tuple[int, Row | RowFault]]

TOO_LONG = RowFault("row_too_long", f"the row is longer than {MAX_ROW_BYTES} bytes")
BLANK = RowFault("bad_json", "the line is blank")
NO_OBJECT = RowFault("not_an_object", "the line is JSON, but no object")
BAD_UTF8 = RowFault("bad_utf8", "the row is not UTF-8")


def read_rows(path: Path, *, columns: Sequence[str], start: int = 0) -> Rows:
    """Yield (number, row or fault) from row `start` on; numbers count from 0.

    JSONL, plain or packed with gzip or zstd, is split at line feeds only: texts contain U+2028. Every line
    is a row.
    Of Parquet only `columns` are read; maps and lists of pairs stay lists of pairs.

    Raises:
        InputError: no such file, not of a known kind, or broken; before the first row or between rows.

    """
    kind = _kind(path)
    number = start
    try:
        rows = _parquet(path, columns, start) if kind == "parquet" else _jsonl(path, kind, start)
        for row in rows:
            yield number, row
            number += 1
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else _first_line(error)
        raise InputError(f"{path}: cannot be read from row {number} on: {reason}") from None


def count_rows(path: Path) -> Iterator[int]:
    """Yield the number of rows known so far, in steps short enough for an event loop; the last is the total.

    Raises:
        InputError: as `read_rows`.

    """
    kind = _kind(path)
    lines, last = 0, b"\n"
    try:
        if kind == "parquet":
            with _parquet_file(path) as file:
                yield file.metadata.num_rows
            return
        with _opened(path, kind) as file:
            while chunk := file.read(_CHUNK_BYTES):
                lines += chunk.count(b"\n")
                last = chunk[-1:]
                yield lines
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path}: {_first_line(error)}") from None
    yield lines + (last != b"\n")


def check_input(path: Path) -> None:
    """Raise InputError unless the file is there and of a known kind."""
    _kind(path)


def _kind(path: Path) -> str:
    """Tell parquet, gz, zst or plain JSONL: the name says whether we know it, the first bytes what it is."""
    suffixes = path.name.lower().split(".")[1:]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in _SUFFIXES:
        known = "jsonl, jsonl.gz, jsonl.zst, ndjson or parquet"
        raise InputError(f"{path}: unknown kind of file, its name must end in {known}")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if suffixes[-1] == "parquet":
        return "parquet"
    return {b"\x1f\x8b": "gz", b"\x28\xb5": "zst"}.get(head[:2], "plain")


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[BinaryIO]:
    if kind == "zst":
        import pyarrow as pa  # 0.1 s: only for those who need it

        with pa.input_stream(str(path), compression="zstd") as stream, io.BufferedReader(stream) as file:
            yield cast(BinaryIO, file)
    elif kind == "gz":
        with gzip.open(path, "rb") as packed:
            yield cast(BinaryIO, packed)
    else:
        with path.open("rb", buffering=_CHUNK_BYTES) as plain:
            yield plain


def _jsonl(path: Path, kind: str, start: int) -> Iterator[Row | RowFault]:
    with _opened(path, kind) as file:
        for number, line in enumerate(_lines(file)):
            if number < start:
                continue
            yield TOO_LONG if line is None else _parsed(line.removeprefix(_BOM) if number == 0 else line)


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines; None stands for one that is too long, of which only a chunk is held at once."""
    while line := file.readline(MAX_ROW_BYTES + 1):
        if len(line) <= MAX_ROW_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while not line.endswith(b"\n") and (line := file.readline(_CHUNK_BYTES)):
            pass
        yield None


def _parsed(line: bytes) -> Row | RowFault:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not line.strip():
            return BLANK
        try:
            line.decode()
        except UnicodeDecodeError:
            return BAD_UTF8
        return RowFault("bad_json", f"the line is not JSON: {error.msg} at character {error.pos}")
    return row if isinstance(row, dict) else NO_OBJECT


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            yield file
    except ArrowException as error:
        raise ValueError(_first_line(error)) from None


def _parquet(path: Path, columns: Sequence[str], start: int) -> Iterator[Row | RowFault]:
    with _parquet_file(path) as file:
        names = [name for name in columns if name in file.schema_arrow.names]
        if not names:
            raise ValueError(f"it has none of the columns {', '.join(columns)}")
        metadata = file.metadata
        groups: list[int] = []
        for group in range(metadata.num_row_groups):  # those that end before `start` are never read
            if not groups and start >= (num := metadata.row_group(group).num_rows):
                start -= num
            else:
                groups.append(group)
        batches = file.iter_batches(batch_size=_BATCH_ROWS, row_groups=groups, columns=names)
        rows = itertools.chain.from_iterable(map(_plain, batches))
        yield from itertools.islice(rows, start, None)


def _plain(batch: Any) -> list[Row | RowFault]:
    """Return a batch's rows as plain dicts; a value that is not UTF-8 spoils its own row only."""
    try:
        rows: list[Row | RowFault] = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [BAD_UTF8]
        return [row for number in range(batch.num_rows) for row in _plain(batch.slice(number, 1))]
    return [TOO_LONG if _too_long(row) else row for row in rows]


def _too_long(row: Any) -> bool:
    return sum(len(value) for value in row.values() if isinstance(value, str | bytes)) > MAX_ROW_BYTES


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
