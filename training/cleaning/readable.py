"""Reads one file line by line, packed or not, and says of what it cannot read what, where and why.

Lines are read as bytes and split on the newline alone: real texts contain U+2028, at which `str.splitlines`
would break a JSON object in two. What is wrong with an entry is a value, not an exception: whether it stops
the run is for the reader to say.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow

BUFFER: Final = 2**16  # also what is lost of good lines before a break
LARGEST: Final = 2**28  # bytes of one entry: its text may take 1 GB in memory, and is copied on its way
SHOWN: Final = 8_000  # bytes of a faulty entry that are kept: 2,000 characters of any script


@dataclass(frozen=True, slots=True)
class Entry:
    """A text, maybe empty; `number` is the line or row where it begins, from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What cannot be read: a short reason for counting, what it is in words, the bytes it is about."""

    number: int
    reason: str
    what: str
    raw: bytes = b""


def lines_of(path: Path) -> Generator[tuple[int, bytes] | Fault, None, None]:
    """Yield number and bytes of each line, its newline included, the first without a byte order mark."""
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(LARGEST + 1):
                number += 1
                if len(line) > LARGEST:
                    yield Fault(number, "too_large", f"a line of more than {LARGEST >> 20} MB", line[:SHOWN])
                    while line and not line.endswith(b"\n"):
                        line = file.readline(BUFFER)
                    continue
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Fault(number + 1, "broken_gzip", f"the gzip archive is broken after this line ({error})")
    except OSError as error:
        if error.errno is not None or path.suffix != ".zst":
            raise
        yield Fault(number + 1, "broken_zstd", f"the Zstandard archive is broken after this line ({error})")


def _opened(path: Path) -> BinaryIO:
    """Return the file's bytes, unpacked as its name says."""
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(path), BUFFER)
    if path.suffix == ".zst":
        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"), BUFFER)
    return path.open("rb", BUFFER)


def invalid(number: int, raw: bytes) -> Fault | None:
    """Return what is wrong with bytes that are no UTF-8, at the line where it is."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + number
        from_line = error.start - raw.rfind(b"\n", 0, error.start)
        shown = raw[max(0, error.start - SHOWN // 2) : error.start + SHOWN // 2]
        return Fault(
            line, "invalid_utf8", f"byte {from_line} of the line is not UTF-8 ({error.reason})", shown
        )
    return None
