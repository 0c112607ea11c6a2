"""Frees the corpus of documents that are there already: the passes of exact and of near duplicates.

Exact, over everything: `exact_signature` (a task a shard), `exact_matches` (any number of tasks),
`exact_removed` (a task a shard). Near, a profile at a time: `signature` (a task a shard), `buckets` (as many
tasks as buckets, or a multiple), `clusters` (one task), `removed` (a task a shard). The passes that read
documents must read the same shards. Who is kept depends on neither the shards nor their number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xxhash
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.disk_base import DiskWriter

from training.cleaning.clusters import Clusters
from training.cleaning.matching import (
    RECORD,
    Removed,
    grouped,
    keys_of,
    opened,
    places_of,
    write_removed,
)
from training.cleaning.minhash import Buckets, Signature
from training.cleaning.profiles import NearDuplicates
from training.cleaning.shingles import END, SPACE, batches, fold, pieces


def exact_signature(folder: Path) -> PipelineStep:
    """Return the step that hashes every text, letters and digits alone."""
    return ExactSignature(folder)


def exact_matches(folder: Path) -> PipelineStep:
    """Return the step that finds texts with one hash; each of several tasks takes a part of the hashes."""
    return ExactMatches(folder)


def exact_removed(folder: Path, *, exclusion_writer: DiskWriter | None = None) -> PipelineStep:
    """Return the filter that keeps one document of each text."""
    return Removed(folder / "removed", reason="exact_duplicate", exclusion_writer=exclusion_writer)


def signature(folder: Path, settings: NearDuplicates) -> PipelineStep:
    """Return the step that writes MinHash signatures."""
    return Signature(folder, settings)


def buckets(folder: Path, settings: NearDuplicates) -> PipelineStep:
    """Return the step that pairs the documents of a bucket."""
    return Buckets(folder, settings)


def clusters(folder: Path, settings: NearDuplicates) -> PipelineStep:
    """Return the step that verifies the pairs and decides who goes."""
    return Clusters(folder, settings)


def removed(folder: Path, *, exclusion_writer: DiskWriter | None = None) -> PipelineStep:
    """Return the filter that keeps one document of each cluster."""
    return Removed(folder / "removed", reason="near_duplicate", exclusion_writer=exclusion_writer)


class ExactSignature(PipelineStep):
    """Write a hash of every text: case, punctuation and spaces do not count."""

    type = "DEDUP"
    name = "Exact signatures"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> None:
        """Consume the documents of a shard."""
        first = 0
        with opened(self.folder / "hashes", rank) as file:
            for documents in batches(data):
                with self.track_time("batch"):
                    rows = np.zeros(len(documents), dtype=RECORD)
                    rows["key"], rows["place"] = keys_of(documents), places_of(rank, first, len(documents))
                    rows["hash"] = hashes_of([document.text for document in documents])
                    file.write(rows.tobytes())
                first += len(documents)
                self.stat_update("total", value=len(documents))


def hashes_of(texts: list[str]) -> list[int]:
    """Return a hash of each text's letters and digits; a text that comes alone may be of any length."""
    if len(texts) == 1:
        hashed = xxhash.xxh64()
        for piece in pieces(texts[0], overlap=0):
            codes = fold([piece])
            hashed.update(codes[(codes != SPACE) & (codes != END)].tobytes())
        return [hashed.intdigest()]
    codes = fold(texts)
    codes = codes[codes != SPACE]
    ends = np.flatnonzero(codes == END)
    content = codes.tobytes()
    bounds = zip([0, *(ends[:-1] + 1).tolist()], ends.tolist(), strict=True)
    width = codes.itemsize
    return [xxhash.xxh64_intdigest(content[width * start : width * end]) for start, end in bounds]


class ExactMatches(PipelineStep):
    """Write which documents have the text of another."""

    type = "DEDUP"
    name = "Exact matches"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Decide over all shards, for a part of the hashes."""
        with self.track_time("part"):
            records, again = grouped(self.folder / "hashes", part=rank, parts=world_size)
            write_removed(self.folder / "removed" / f"{rank:05d}", records["place"][again])
        self.stat_update("removed", value=int(again.sum()))
