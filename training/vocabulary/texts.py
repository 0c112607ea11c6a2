"""Read texts back as plain strings: what tokenizers are trained and compared on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from training.cleaning.formats import entries, fields_of
from training.cleaning.readable import Fault
from training.config import Source
from training.errors import CorpusError

_Format = Literal["jsonl", "parquet", "text"]
_FORMATS: Final[dict[str, _Format]] = {".jsonl": "jsonl", ".parquet": "parquet"}
_ROWS: Final = 1_000  # that are searched for the names of fields


def read_texts(path: Path, *, field: str = "text") -> Iterator[str]:
    """Yield the texts of a file: jsonl, Parquet or plain text, the first and the last also as .gz and .zst.

    `field` holds the text of a row; rows without it or with an empty one are passed over. The documents of
    plain text are its paragraphs. Raises CorpusError with the line, and where no row has the field.
    """
    kind: _Format = next((_FORMATS[suffix] for suffix in path.suffixes if suffix in _FORMATS), "text")
    source = Source(
        name="texts", path=str(path), format=kind, text=(field,), documents="paragraph", domain="texts"
    )
    found = False
    try:
        for entry in entries(path, source):
            if isinstance(entry, Fault):
                raise CorpusError(entry.what, place=path, line=entry.number)
            if entry.text:
                found = True
                yield entry.text
        known = set() if found or kind == "text" else fields_of(path, source, most=_ROWS)
    except OSError as error:
        raise CorpusError(error.strerror or str(error), place=path) from error
    if known and field not in known:
        raise CorpusError(f"no row has the field {field}; there are {', '.join(sorted(known))}", place=path)
