"""Decides which of the paired documents go: each pair is verified, no likeness counts at second hand.

Buckets alone pair different goods of one seller's template, and a chain of pairs joins what is not alike at
all. So each pair must agree in enough of its minima, and so must every document that goes with the one kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.cleaning.matching import Places, Records, by_rank, positions, write_removed
from training.cleaning.minhash import sketch_type
from training.cleaning.profiles import NearDuplicates

LONG: Final = 0.9  # share of common n-grams that makes long texts duplicates: FineWeb's 0.75 of word 5-grams
SHORT: Final = 0.58  # and short ones of which one word is another: never less
STOCK: Final = 30  # characters: shorter texts are stock phrases, which are alike and not the same
STOCK_SHARE: Final = 0.85
WORD: Final = 22  # n-grams that another word takes away and brings: its 18 letters and its surroundings
CHANCE: Final = 1 / 256  # low bytes of two different minima that are equal all the same
_BLOCK: Final = 2**16  # pairs at a time

Indices = NDArray[np.intp]


def needed(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Jaccard similarity that makes duplicates of texts, the shorter of them of that length."""
    one_word = (lengths - WORD) / (lengths + WORD)
    return np.where(lengths < STOCK, STOCK_SHARE, np.clip(one_word, SHORT, LONG))


def alike(one: Records, other: Records) -> NDArray[np.bool_]:
    """Tell which of the paired sketches are those of duplicates; standard error 0.04 with 120 hashes."""
    agreed = (one["minima"] == other["minima"]).mean(axis=-1)
    similarity = (agreed - CHANCE) / (1 - CHANCE)
    lengths = np.minimum(one["length"], other["length"]).astype(np.float64)
    return np.asarray(similarity >= needed(lengths))


class Clusters(PipelineStep):
    """Verify the pairs and write what goes; one task. It holds the sketches of the paired documents only."""

    type = "DEDUP"
    name = "MinHash clusters"

    def __init__(self, folder: Path, settings: NearDuplicates) -> None:
        super().__init__()
        self.folder, self.settings = folder, settings

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Decide over all shards."""
        if world_size != 1:
            raise ValueError(f"clusters span the shards: one task, not {world_size}")
        with self.track_time("corpus"):
            files = sorted((self.folder / "pairs").iterdir())
            found = [np.fromfile(path, dtype="<u8").reshape(-1, 2) for path in files]
            pairs = np.concatenate([np.zeros((0, 2), dtype="<u8"), *found])
            places, ends = np.unique(pairs, return_inverse=True)
            one, other = ends.reshape(-1, 2).T
            different = np.unique(one * len(places) + other)  # most pairs share many buckets
            ends = np.stack(np.divmod(different, max(1, len(places))), axis=1)
            sketches = self._sketches(places)
            sure = _alike_at(sketches, *ends.T)
            gone = _gone(sketches, ends[sure])
            write_removed(self.folder / "removed" / "all", places[gone])
        self.stat_update("pairs", value=len(ends))
        self.stat_update("pairs_verified", value=int(sure.sum()))
        self.stat_update("removed", value=int(gone.sum()))

    def _sketches(self, places: Places) -> Records:
        """Read the sketches of these places."""
        dtype = sketch_type(self.settings)
        sketches = np.zeros(len(places), dtype=dtype)
        for rank, which in by_rank(places):
            shard = np.memmap(self.folder / "sketches" / f"{rank:05d}", dtype=dtype, mode="r")
            sketches[which] = shard[positions(places[which])]
        return sketches


def _gone(sketches: Records, pairs: Indices) -> NDArray[np.bool_]:
    """Tell which documents go: all that are like the first by key; then those like the first left."""
    if not len(pairs):
        return np.zeros(len(sketches), dtype=np.bool_)
    shape = (len(sketches), len(sketches))
    graph = coo_array((np.ones(len(pairs), dtype=np.bool_), (pairs[:, 0], pairs[:, 1])), shape=shape)
    _, labels = connected_components(graph, directed=False)
    rest = np.lexsort((sketches["key"], labels))
    gone = np.zeros(len(sketches), dtype=np.bool_)
    while len(rest):  # once for each document that stays in the most varied cluster
        first = np.diff(labels[rest], prepend=-1) != 0
        heads = rest[np.maximum.accumulate(np.where(first, np.arange(len(rest)), 0))]
        rest, heads = rest[~first], heads[~first]
        same = _alike_at(sketches, rest, heads)
        gone[rest[same]] = True
        rest = rest[~same]
    return gone


def _alike_at(sketches: Records, one: Indices, other: Indices) -> NDArray[np.bool_]:
    """Compare pairs of sketches by their indices, a block at a time."""
    found = np.zeros(len(one), dtype=np.bool_)
    for start in range(0, len(one), _BLOCK):
        block = slice(start, start + _BLOCK)
        found[block] = alike(sketches[one[block]], sketches[other[block]])
    return found
