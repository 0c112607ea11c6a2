"""Draw what a tokenizer is trained on: the same documents however the corpus was cut into shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import xxhash

from training.errors import TokenizerError
from training.vocabulary.texts import read_texts

_MB: Final = 1_000_000
_HASHES: Final = 2**64


def sample(
    shards: Mapping[str, Sequence[Path]], *, budget_mb: float, upweight: Mapping[str, float], seed: int
) -> Iterator[str]:
    """Yield about `budget_mb` of documents, a domain's part as large as it is in the corpus times its factor.

    A document comes r = factor · min(1, budget / sum of bytes · factor) times: floor(r) times in a row, and
    once more if the hash of seed and text falls below the rest. So a domain never comes more often than its
    factor (a budget beyond that stays unused), and neither shards, tasks nor their order decide who is
    drawn. Reads the corpus twice and holds one document at a time. Raises CorpusError for a damaged file,
    TokenizerError for a factor of no domain and for a corpus without text.
    """
    if unknown := upweight.keys() - shards.keys():
        known = ", ".join(sorted(shards))
        raise TokenizerError(f"upweight: no domain is called {', '.join(sorted(unknown))}; there are {known}")
    factors = {domain: upweight.get(domain, 1.0) for domain in sorted(shards)}
    weighted = sum(factor * _size(shards[domain]) for domain, factor in factors.items())
    if not weighted:
        raise TokenizerError("the corpus has no text to train a tokenizer on")
    share = min(1.0, budget_mb * _MB / weighted)
    return _drawn(shards, rates={domain: factor * share for domain, factor in factors.items()}, seed=seed)


def _size(paths: Sequence[Path]) -> int:
    return sum(len(text.encode()) for path in paths for text in read_texts(path))


def _drawn(shards: Mapping[str, Sequence[Path]], *, rates: Mapping[str, float], seed: int) -> Iterator[str]:
    for domain, rate in rates.items():
        times, rest = divmod(rate, 1)
        for path in shards[domain]:
            for text in read_texts(path):
                drawn = xxhash.xxh64_intdigest(text.encode(), seed=seed % _HASHES) < rest * _HASHES
                for _ in range(int(times) + drawn):
                    yield text
