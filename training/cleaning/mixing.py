"""Brings the domains to their shares of the characters, and holds documents out for measuring.

Both choose by a hash of the seed and the document, so neither the shards nor their order change the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import xxhash
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter

from training.cleaning.duplicates import hashes_of
from training.cleaning.shingles import batches
from training.errors import CorpusError

_RANGE: Final = 2**64


@dataclass(frozen=True)
class Mix:
    """How often each domain's documents are taken: 0.37 is 37 % of them, 2.4 all twice and 40 % again.

    `characters`: what then comes out of each domain.
    """

    factors: Mapping[str, float]
    characters: Mapping[str, float]


def plan(available: Mapping[str, int], shares: Mapping[str, float], *, max_repeats: float) -> Mix:
    """Return the largest mix of these shares in which no document comes more than `max_repeats` times.

    It ends where every domain would be repeated: beyond that nothing new comes in. A domain without a share
    is left out; without any shares everything is taken once. Raises CorpusError if a domain with a share has
    no characters.
    """
    if not shares:
        return Mix(dict.fromkeys(available, 1.0), {domain: float(num) for domain, num in available.items()})
    wanted = {domain: share for domain, share in shares.items() if share > 0}
    if missing := sorted(domain for domain in wanted if not available.get(domain)):
        raise CorpusError(
            f"mix: nothing is left of {', '.join(missing)}, which is to be a share of the corpus; "
            "see its report for what was dropped, or change `mix`"
        )
    whole = {domain: available[domain] / share for domain, share in wanted.items()}  # total at factor 1
    total = min(max_repeats * min(whole.values()), max(whole.values()))
    factors = {domain: total / whole[domain] if domain in wanted else 0.0 for domain in available}
    return Mix(factors, {domain: factors[domain] * num for domain, num in available.items()})


class Mixed(PipelineStep):
    """Take each document as often as the mix has it for its domain; copies are numbered in `repeat`."""

    type = "MIX"
    name = "Mixed"

    def __init__(self, mix: Mix, *, seed: int) -> None:
        super().__init__()
        self.mix, self.seed = mix, seed

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents, copies one after the other."""
        for document in data:
            factor = self.mix.factors.get(document.metadata["domain"], 0.0)
            times = int(factor) + (_share_of(document.id, seed=self.seed) < factor % 1)
            self.stat_update("total")
            self.stat_update("forwarded", value=times)
            for repeat in range(times):
                metadata = document.metadata | ({"repeat": repeat} if repeat else {})
                yield replace(document, metadata=metadata)


class HeldOut(BaseFilter):
    """Give a share of the documents to a writer instead of passing them on; equal texts go one way."""

    name = "Held out"

    def __init__(self, share: float, *, seed: int, writer: DiskWriter | None) -> None:
        super().__init__(writer, batch_size=128)
        self.share, self.seed = share, seed

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Tell whether a document is passed on."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """Tell it of several documents."""
        texts = [text for part in batches(batch) for text in hashes_of([document.text for document in part])]
        shares = [_share_of(f"{text:016x}", seed=self.seed) for text in texts]
        return [(False, "held_out") if share < self.share else True for share in shares]


def _share_of(name: str, *, seed: int) -> float:
    """Return a number from 0 to 1, even over all names."""
    hashed = xxhash.xxh64_intdigest(f"{seed}\0{name}".encode("utf-8", "surrogatepass"))
    return hashed / _RANGE
