"""Reads one file of texts entry by entry: JSON lines, Parquet rows, plain text by file, paragraph, line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow
import pyarrow.parquet

from training.cleaning.readable import LARGEST, SHOWN, Entry, Fault, invalid, lines_of
from training.config import Source

BATCH: Final = 256  # rows of a Parquet file that are in memory at once


def entries(path: Path, source: Source) -> Iterator[Entry | Fault]:
    """Yield the file's texts in order and its faults in their places; a broken archive ends it."""
    if source.format == "parquet":
        yield from _rows(path, source.text)
        return
    with closing(lines_of(path)) as lines:
        if source.format == "jsonl":
            for line in lines:
                if isinstance(line, Fault):
                    yield line
                elif not line[1].isspace():
                    yield _parsed(*line, source.text)
        else:
            yield from _plain(lines, source.documents)


def fields_of(path: Path, source: Source, *, most: int) -> set[str]:
    """Return the fields that the first rows have; empty where nothing can be read."""
    if source.format == "parquet":
        try:
            return set(pyarrow.parquet.read_schema(path).names)
        except pyarrow.ArrowInvalid:
            return set()
    found: set[str] = set()
    with closing(lines_of(path)) as lines:
        for number, line in enumerate(lines):
            if number >= most or found.issuperset(source.text):
                break
            row = None if isinstance(line, Fault) else _object(line[1])
            found.update(row if isinstance(row, dict) else ())
    return found


def _object(line: bytes) -> Any:
    """Return what the line's JSON says; None where it is none."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _parsed(number: int, line: bytes, names: tuple[str, ...]) -> Entry | Fault:
    """Return the text of a JSON line."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        broken = invalid(number, line)
        told = f"not JSON ({error.msg}, column {error.colno})"
        return broken or Fault(number, "not_json", told, line[:SHOWN])
    if not isinstance(row, dict):
        return Fault(number, "not_json", f"{_kind(row)}, not a JSON object", line[:SHOWN])
    return _joined(number, row, names, line)


def _joined(number: int, row: dict[str, Any], names: tuple[str, ...], raw: bytes) -> Entry | Fault:
    """Return the fields' text: fields by a blank line, the strings of a list by newlines."""
    parts = []
    for name in names:
        value = row.get(name)
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            value = "\n".join(value)
        if isinstance(value, str):
            parts.append(value)
        elif value is not None:
            what = f"field {name!r} is {_kind(value)}, not a text or a list of texts"
            return Fault(number, "wrong_type", what, raw[:SHOWN])
    return Entry(number, "\n\n".join(part for part in parts if part.strip()))


def _plain(lines: Iterator[tuple[int, bytes] | Fault], unit: str) -> Iterator[Entry | Fault]:
    """Yield lines, paragraphs (between blank lines) or the whole of a plain text file."""
    held: list[bytes] = []
    start, size = 1, 0
    for line in lines:
        if isinstance(line, Fault):
            yield from _decoded(start, held)
            yield line
            held, size = [], 0
            continue
        number, raw = line
        ends = unit == "line" or (unit == "paragraph" and raw.isspace())
        if not raw.isspace() or unit == "file":
            start = start if held else number
            held.append(raw)
            size += len(raw)
        if size > LARGEST:
            yield Fault(start, "too_large", f"a {unit} of more than {LARGEST >> 20} MB", held[0][:SHOWN])
            return
        if ends:
            yield from _decoded(start, held)
            held, size = [], 0
    yield from _decoded(start, held)


def _decoded(start: int, held: list[bytes]) -> Iterator[Entry | Fault]:
    """Yield the text of these lines, if there are any."""
    if held:
        raw = b"".join(held)
        yield invalid(start, raw) or Entry(start, raw.decode("utf-8").removesuffix("\n"))


def _rows(path: Path, names: tuple[str, ...]) -> Iterator[Entry | Fault]:
    """Yield the rows of a Parquet file, a batch in memory at a time."""
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            there = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=BATCH, columns=there):
                for row in range(batch.num_rows):
                    number += 1
                    try:
                        found = {name: batch.column(name)[row].as_py() for name in there}
                    except UnicodeDecodeError as error:
                        yield Fault(
                            number, "invalid_utf8", f"the row is not UTF-8 ({error.reason})", error.object
                        )
                        continue
                    yield _joined(number, found, names, b"")
    except (pyarrow.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        yield Fault(number + 1, "broken_parquet", f"the Parquet file is broken ({error})")


def _kind(value: Any) -> str:
    """Return what a value is, in JSON's words."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number"}
    return kinds.get(type(value), "null" if value is None else f"a {type(value).__name__}")
