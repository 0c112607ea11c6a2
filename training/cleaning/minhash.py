"""MinHash of character n-grams: the signatures of documents, and the pairs of them that share a bucket.

The method and its passes are datatrove's. The steps are not: its signatures hash n-gram by n-gram in Python,
its buckets compare objects in a heap (3.4 us a record, one record a bucket), and nobody verifies its pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from training.cleaning.matching import RECORD, grouped, keys_of, opened, places_of
from training.cleaning.profiles import NearDuplicates
from training.cleaning.shingles import END, PIECE, batches, combined, fold, pieces, windows

Minima = NDArray[np.uint32]
_SEED: Final = 1  # of the hash functions: signatures of two runs can be compared


def sketch_type(settings: NearDuplicates) -> np.dtype[np.void]:
    """Return the record of a document that pairs are verified by: key, length, low bytes of the minima."""
    return np.dtype([("key", "<u8"), ("length", "<u4"), ("minima", "u1", settings.buckets * settings.hashes)])


@cache
def _functions(num: int) -> tuple[Minima, Minima]:
    """Return the factors, odd so that each function is a permutation, and the terms."""
    random = np.random.default_rng(_SEED)
    factors = random.integers(0, 2**32, num, dtype=np.uint32) | np.uint32(1)
    return factors, random.integers(0, 2**32, num, dtype=np.uint32)


def minima(texts: Sequence[str], settings: NearDuplicates) -> tuple[Minima, NDArray[np.int64]]:
    """Return the least value of every hash function over each text's n-grams, and the texts' folded lengths.

    Shape (texts, buckets * hashes). The last n-grams reach beyond the text's end: the shortest has one too.
    32 bits and permutations x -> a x + b modulo 2^32 of mixed hashes: 0.3 ns a value.
    """
    codes = fold(texts, gap=max(1, settings.ngram - 1))
    inside = codes != END
    edges = np.flatnonzero(np.diff(inside, prepend=False))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    hashed = windows(codes, settings.ngram)
    shingles = (hashed[inside[: len(hashed)]] >> np.uint64(32)).astype(np.uint32)
    first = np.cumsum(lengths) - lengths
    factors, terms = _functions(settings.buckets * settings.hashes)
    found = np.empty((len(factors), len(texts)), dtype=np.uint32)
    values = np.empty_like(shingles)
    for number in range(len(factors)):
        np.multiply(shingles, factors[number], out=values)
        np.add(values, terms[number], out=values)
        np.minimum.reduceat(values, first, out=found[number])
    return np.ascontiguousarray(found.T), lengths


def _of_any_length(texts: Sequence[str], settings: NearDuplicates) -> tuple[Minima, NDArray[np.int64]]:
    """Take a text longer than a piece piece by piece: 20 MB need no more memory than a page."""
    if len(texts) > 1 or len(texts[0]) <= PIECE:
        return minima(texts, settings)
    parts = [minima([piece], settings) for piece in pieces(texts[0])]
    least = np.minimum.reduce([part for part, _ in parts])
    return least, np.sum([lengths for _, lengths in parts], axis=0)


def bands(least: Minima, settings: NearDuplicates) -> NDArray[np.uint64]:
    """Return one hash a bucket: documents that agree in all hashes of a bucket share it."""
    rows = least.reshape(len(least), settings.buckets, settings.hashes)
    return combined([rows[:, :, number] for number in range(settings.hashes)])


class Signature(PipelineStep):
    """Write every document's sketch and the hashes of its buckets: 24 bytes a bucket, one a hash."""

    type = "DEDUP"
    name = "MinHash signatures"

    def __init__(self, folder: Path, settings: NearDuplicates) -> None:
        super().__init__()
        self.folder, self.settings = folder, settings

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> None:
        """Consume the documents of a shard."""
        num_buckets = self.settings.buckets
        buckets = [opened(self.folder / "buckets" / f"{number:03d}", rank) for number in range(num_buckets)]
        sketches = opened(self.folder / "sketches", rank)
        first = 0
        for documents in batches(data):
            with self.track_time("batch"):
                least, lengths = _of_any_length([document.text for document in documents], self.settings)
                sketch = np.zeros(len(documents), dtype=sketch_type(self.settings))
                sketch["key"], sketch["length"] = keys_of(documents), lengths
                sketch["minima"] = least.astype(np.uint8)
                sketches.write(sketch.tobytes())
                rows = np.zeros(len(documents), dtype=RECORD)
                rows["key"], rows["place"] = sketch["key"], places_of(rank, first, len(documents))
                for file, hashes in zip(buckets, bands(least, self.settings).T, strict=True):
                    rows["hash"] = hashes
                    file.write(rows.tobytes())
            first += len(documents)
            self.stat_update("total", value=len(documents))
        for file in (*buckets, sketches):
            file.close()


class Buckets(PipelineStep):
    """Write the pairs of documents that share a bucket; as many tasks as buckets, or a multiple of them.

    Of each bucket's documents every one is paired with the first and with the one before: all pairs would be
    quadratic, and with a chain alone two documents alike are lost when one that is not stands between them.
    """

    type = "DEDUP"
    name = "MinHash buckets"

    def __init__(self, folder: Path, settings: NearDuplicates) -> None:
        super().__init__()
        self.folder, self.settings = folder, settings

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Find the pairs of one bucket, or of a part of its hashes."""
        parts, rest = divmod(world_size, self.settings.buckets)
        if rest:
            raise ValueError(f"{world_size} tasks are no multiple of {self.settings.buckets} buckets")
        bucket, part = divmod(rank, parts)
        with self.track_time("bucket"):
            records, again = grouped(self.folder / "buckets" / f"{bucket:03d}", part=part, parts=parts)
            seconds = np.flatnonzero(again)
            firsts = np.maximum.accumulate(np.where(again, 0, np.arange(len(again))))[seconds]
            later = seconds[firsts < seconds - 1]
            pairs = np.concatenate([np.stack([firsts, seconds]), np.stack([later - 1, later])], axis=1)
            with opened(self.folder / "pairs", rank) as file:
                file.write(np.ascontiguousarray(records["place"][pairs.T]).tobytes())
        self.stat_update("pairs", value=pairs.shape[1])
