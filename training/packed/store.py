"""Opens what `tokens.TokenWriter` wrote: memory maps whose sizes are checked before the first one is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import CorpusError
from training.packed.files import CURE, mapped, read_json
from training.packed.meta import Meta, read_characters, read_meta
from training.packed.tokens import LENGTH, TOKENS, Counts


@dataclass(frozen=True)
class Shard:
    """A stream of documents: `ids` [tokens], `lengths` [documents], `trained` [tokens] or None."""

    path: Path  # without suffix
    counts: Counts
    ids: NDArray[Any]
    lengths: NDArray[np.uint32]
    trained: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Domain:
    """The shards of a domain. Their tokens are numbered through: `bases` [shards + 1] are the first ones."""

    shards: tuple[Shard, ...]

    @cached_property
    def bases(self) -> NDArray[np.int64]:
        """Return the number of each shard's first token, and of all tokens at the end."""
        return np.cumsum([0, *(shard.counts.tokens for shard in self.shards)], dtype=np.int64)

    @cached_property
    def counts(self) -> Counts:
        """Return the sums over the shards."""
        return sum((shard.counts for shard in self.shards), Counts())


@dataclass(frozen=True)
class TokenStore:
    """All domains by name. `characters` [vocab_size]: how many each token begins."""

    folder: Path
    meta: Meta
    characters: NDArray[np.uint32]
    domains: dict[str, Domain]


def open_tokens(folder: Path) -> TokenStore:
    """Map a store. Raises CorpusError that names the file which is missing, truncated or damaged."""
    meta = read_meta(folder)
    domains: dict[str, Domain] = {}
    for place in sorted((folder / TOKENS).glob("*")):
        shards = tuple(open_shard(told.with_suffix(""), meta=meta) for told in sorted(place.glob("*.json")))
        marked = {shard.trained is not None for shard in shards if shard.counts.documents}
        if len(marked) > 1:
            raise CorpusError(f"only some shards tell which tokens are trained; {CURE}", place=place)
        domains[place.name] = Domain(shards)
    return TokenStore(folder, meta, read_characters(folder, meta=meta), domains)


def open_shard(path: Path, *, meta: Meta) -> Shard:
    """Map the shard whose files begin with `path`. Raises CorpusError."""
    told = _file(path, "json")
    found = read_json(told)
    try:
        masked = bool(found.pop("masked"))
        counts = Counts(**found)
    except (KeyError, TypeError) as error:
        raise CorpusError(f"is no account of a shard: {error}; {CURE}", place=told) from error
    ids = mapped(_file(path, "ids"), dtype=meta.dtype, count=counts.tokens)
    lengths = mapped(_file(path, "lengths"), dtype=LENGTH, count=counts.documents)
    marks = mapped(_file(path, "trained"), dtype=np.bool_, count=counts.tokens * masked)
    return Shard(path, counts, ids, lengths, marks if masked else None)


def is_whole(path: Path, *, meta: Meta) -> bool:
    """Tell whether the shard was finished and still is as long as it was."""
    try:
        open_shard(path, meta=meta)
    except CorpusError:
        return False
    return True


def _file(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")
