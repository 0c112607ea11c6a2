"""Documents that share a hash: found by sorting, removed by their place; for exact and near ones.

A document is known by its shard and its position in it, packed into one number; of several alike that one is
kept whose id has the least hash, so the choice does not depend on the number of shards.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np
import xxhash
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter
from numpy.typing import NDArray

RECORD: Final = np.dtype([("hash", "<u8"), ("key", "<u8"), ("place", "<u8")])
_POSITIONS: Final = np.uint64(2**32 - 1)

Records = NDArray[np.void]
Places = NDArray[np.uint64]


def opened(folder: Path, rank: int) -> IO[bytes]:
    """Open the file of a shard for writing, in place of that of an earlier try."""
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"{rank:05d}").open("wb")


def keys_of(documents: Iterable[Document]) -> NDArray[np.uint64]:
    """Return what decides which of several alike is kept: the less, the sooner."""
    ids = [document.id.encode("utf-8", "surrogatepass") for document in documents]
    return np.array([xxhash.xxh64_intdigest(name) for name in ids], dtype=np.uint64)


def places_of(rank: int, first: int, num: int) -> Places:
    """Return the places of `num` documents of a shard from a position on."""
    return np.arange(first, first + num, dtype=np.uint64) + np.uint64(rank << 32)


def by_rank(places: Places) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each shard that has places here, and which of them are its."""
    ranks = places >> np.uint64(32)
    for rank in np.unique(ranks):
        yield int(rank), np.flatnonzero(ranks == rank)


def positions(places: Places) -> NDArray[np.int64]:
    """Return the positions within the shards."""
    return (places & _POSITIONS).astype(np.int64)


def grouped(folder: Path, *, part: int, parts: int) -> tuple[Records, NDArray[np.bool_]]:
    """Return all shards' records sorted by hash, then key, and which have the hash of the one before.

    Of several `parts` each gets the hashes with its remainder; a part needs 24 bytes a record, three times.
    """
    found = [np.zeros(0, dtype=RECORD)]
    for path in sorted(folder.iterdir()):
        records = np.fromfile(path, dtype=RECORD)
        found.append(records[records["hash"] % np.uint64(parts) == part] if parts > 1 else records)
    every = np.concatenate(found)
    every = every[np.lexsort((every["place"], every["key"], every["hash"]))]
    again = np.zeros(len(every), dtype=np.bool_)
    again[1:] = every["hash"][1:] == every["hash"][:-1]
    return every, again


def write_removed(folder: Path, places: Places) -> None:
    """Write which positions of each shard go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for rank, which in by_rank(places):
        np.unique(positions(places[which])).astype("<u4").tofile(folder / f"{rank:05d}")


class Removed(BaseFilter):
    """Drop the documents whose positions were written for their shard."""

    def __init__(self, folder: Path, *, reason: str, exclusion_writer: DiskWriter | None = None) -> None:
        self.name = f"Removed: {reason}"
        super().__init__(exclusion_writer)
        self.folder, self.reason = folder, reason
        self._removed: Iterator[bool] = iter(())

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents of a shard that stay."""
        files = sorted(self.folder.glob(f"*/{rank:05d}"))
        gone = {position for path in files for position in np.fromfile(path, dtype="<u4").tolist()}
        self._removed = (position in gone for position in itertools.count())
        yield from super().run(data, rank, world_size)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Tell whether the next document of the shard stays."""
        return (False, self.reason) if next(self._removed) else True
