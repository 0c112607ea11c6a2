"""Read texts back, a line or a paragraph at a time: what tokenizers are trained and compared on."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import orjson
import zstandard

from training.errors import CorpusError

_SHOWN: Final = 8  # field names in an error


def read_texts(path: Path, *, field: str = "text") -> Iterator[str]:
    """Yield the texts of a file, plain or packed with gzip or Zstandard.

    A file whose name says jsonl holds an object a line, and `field` the text; objects without it or with an
    empty one are passed over. Any other file is plain text, its paragraphs the documents. Raises CorpusError
    with the line, also where no object has the field.
    """
    is_json = ".jsonl" in path.suffixes
    number = 0
    try:
        with _open(path) as file:
            number = 1
            yield from _fields(file, path=path, field=field) if is_json else _paragraphs(file)
    except UnicodeDecodeError as error:
        raise CorpusError(f"no UTF-8: {error.reason}", place=path) from error
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        what = "damaged" if number else "cannot be opened"
        raise CorpusError(f"{what}: {error}", place=path) from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".zst":
        packed: IO[bytes] = zstandard.open(path, "rb")
        return packed
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _fields(file: IO[bytes], *, path: Path, field: str) -> Iterator[str]:
    """Yield the field of each object. Only a newline ends a line: texts hold U+2028."""
    found, known = False, set[str]()
    for number, line in enumerate(file, start=1):
        try:
            content = orjson.loads(line)
        except ValueError as error:
            raise CorpusError(f"no JSON: {error}", place=path, line=number) from error
        text = content.get(field) if isinstance(content, dict) else content
        if not isinstance(text, str | None):
            raise CorpusError(f"{field} is {type(text).__name__}, not text", place=path, line=number)
        if text:
            yield text
        found = found or field in content
        if not found:
            known.update(content)
    if known and not found:
        names = ", ".join(sorted(known)[:_SHOWN])
        raise CorpusError(f"no line has the field {field}; there are {names}", place=path)


def _paragraphs(file: IO[bytes]) -> Iterator[str]:
    paragraph: list[str] = []
    for line in file:
        text = line.decode()
        if text.isspace():
            if paragraph:
                yield "".join(paragraph)
            paragraph = []
        else:
            paragraph.append(text)
    if paragraph:
        yield "".join(paragraph)
