"""Tables of the pieces that make up each row of one length, so that the tokens are stored once for all.

FOLDER/rows/T/DOMAIN.starts (first token of a piece), .lengths (its inputs), .ends (pieces up to a row's end);
FOLDER/rows/T/meta.json comes last.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.errors import ConfigError, CorpusError
from training.packed.cut import windows
from training.packed.files import CURE, mapped, read_json, write_json
from training.packed.fit import pack
from training.packed.store import TokenStore, open_tokens

_META: Final = "meta.json"
_FILES: Final = {"starts": "<i8", "lengths": "<u4", "ends": "<i8"}


@dataclass(frozen=True)
class Packed:
    """How much a domain's table holds: rows, pieces in them, positions that are used."""

    rows: int = 0
    pieces: int = 0
    used: int = 0

    def __add__(self, other: Packed) -> Packed:
        """Return both together."""
        return Packed(self.rows + other.rows, self.pieces + other.pieces, self.used + other.used)


@dataclass(frozen=True)
class Table:
    """The rows of a domain: `starts`, `lengths` [pieces], `ends` [rows]."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    ends: NDArray[np.int64]

    def row(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Return the first tokens and the lengths of a row's pieces."""
        pieces = slice(int(self.ends[number - 1]) if number else 0, int(self.ends[number]))
        return self.starts[pieces], self.lengths[pieces]


@dataclass(frozen=True)
class Rows:
    """All rows of `length` positions. `domains`: number of rows; `share`: of positions that are used."""

    length: int
    domains: dict[str, int]
    share: float
    tables: dict[str, Table]
    store: TokenStore

    @property
    def vocab_size(self) -> int:
        """Return the number of ids that the tokenizer has."""
        return self.store.meta.vocab_size

    @property
    def tokenizer_sha256(self) -> str:
        """Return the sha256 of the tokenizer that made the ids."""
        return self.store.meta.tokenizer_sha256


def write_rows(store: TokenStore, *, length: int, seed: int) -> None:
    """Pack every domain into rows of `length`. What a killed process left is written over."""
    folder = store.folder / "rows" / str(length)
    folder.mkdir(parents=True, exist_ok=True)
    packed = {}
    for name, domain in store.domains.items():
        found = Packed()
        with ExitStack() as stack:
            files = {one: stack.enter_context((folder / f"{name}.{one}").open("wb")) for one in _FILES}
            for starts, lengths in windows(domain, length=length):
                order, ends = pack(lengths, length=length, seed=seed)
                arrays = {"starts": starts[order], "lengths": lengths[order], "ends": ends + found.pieces}
                for one, array in arrays.items():
                    files[one].write(array.astype(_FILES[one]).tobytes())
                found += Packed(len(ends), len(order), int(lengths.sum()))
        packed[name] = asdict(found)
    write_json(folder / _META, packed)


def open_rows(folder: Path, *, length: int) -> Rows:
    """Map the rows of a store. Raises CorpusError for a damaged file, ConfigError where none are so long."""
    place = folder / "rows" / str(length)
    if not place.is_dir():
        there = ", ".join(sorted(path.name for path in (folder / "rows").glob("*"))) or "none"
        raise ConfigError(f"{folder}: has no rows of sequence_length {length}; there are {there}")
    store, tables, total = open_tokens(folder), {}, Packed()
    for name, told in read_json(place / _META).items():
        try:
            found = Packed(**told)
        except TypeError as error:
            raise CorpusError(f"{error}; {CURE}", place=place / _META) from error
        counts = {"starts": found.pieces, "lengths": found.pieces, "ends": found.rows}
        tables[name] = Table(
            **{one: mapped(place / f"{name}.{one}", dtype=_FILES[one], count=counts[one]) for one in _FILES}
        )
        if name not in store.domains or store.domains[name].counts.inputs != found.used:
            raise CorpusError(f"was packed of other tokens than there are; {CURE}", place=place / _META)
        total += found
    share = total.used / max(1, total.rows * length)
    domains = {name: len(table.ends) for name, table in tables.items() if len(table.ends)}
    return Rows(length, domains, share, tables, store)
