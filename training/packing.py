"""Tokenizes the corpus once and packs it into rows, so that the loop reads arrays and never a text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import corpus
from training.errors import ConfigError, CorpusError, TrainingError
from training.packed.encoding import tokenize
from training.packed.meta import create_store
from training.packed.rows import open_rows, write_rows
from training.packed.store import is_whole, open_tokens
from training.packed.tokens import TOKENS, Counts, TokenWriter
from training.recipe import Progress, Work
from training.vocabulary.loading import load_vocabulary
from training.vocabulary.texts import read_texts


def build(work: Work, *, vocabulary_folder: Path, lengths: Sequence[int]) -> dict[str, Any]:
    """Tokenize the corpus of `work`, shard by shard, and pack it into rows of each length.

    A shard that a killed run finished is not read again. Raises CorpusError where nothing is left or a shard
    is damaged, TokenizerError where the tokenizer changed in between.
    """
    vocabulary = load_vocabulary(str(vocabulary_folder))
    meta = create_store(work.folder, vocabulary=vocabulary, vocabulary_folder=vocabulary_folder)
    shards = [
        (domain, f"{number:05}", path)
        for domain, paths in corpus.shards(work.before["corpus"]).items()
        for number, path in enumerate(paths)
    ]
    sizes = [path.stat().st_size for _, _, path in shards]
    begun, written = time.monotonic(), 0
    for number, (domain, shard, path) in enumerate(shards):
        if is_whole(work.folder / TOKENS / domain / shard, meta=meta):
            continue
        with TokenWriter(work.folder, domain=domain, shard=shard) as writer:
            for ids in tokenize(read_texts(path), vocabulary=vocabulary):
                writer.add([meta.bos, *ids, meta.eos])
                if not writer.counts.documents % 1_000:
                    work.progress(f"tokenizing {domain}", sum(sizes[:number]), sum(sizes))
        written += writer.counts.tokens
    speed = written / max(1e-9, time.monotonic() - begun)
    figures = pack_store(work.folder, lengths=lengths, seed=work.run.seed, progress=work.progress)
    return figures | ({"tokens/s": round(speed)} if written else {})


def pack_store(
    folder: Path,
    *,
    lengths: Sequence[int],
    seed: int,
    progress: Progress = lambda note, done, total: None,
) -> dict[str, Any]:
    """Pack all documents of a store into rows of each length; return what there is of both.

    Rows that a killed run finished stay. Raises CorpusError where the store is empty or damaged, ConfigError
    for a length that all documents together do not fill once.
    """
    store = open_tokens(folder)
    counts = sum((domain.counts for domain in store.domains.values()), Counts())
    if not counts.documents:
        raise CorpusError("there is no document to pack: the corpus came out empty", place=folder)
    figures: dict[str, Any] = {
        "documents": counts.documents,
        "tokens": counts.inputs,
        "characters a token": round(counts.characters / max(1, counts.targets), 2),
    }
    for number, length in enumerate(wanted := sorted(set(lengths))):
        if counts.inputs < length:
            raise ConfigError(
                f"sequence_length {length:,}: all documents have {counts.inputs:,} tokens, not one row; "
                "shorten the rows or add texts"
            )
        progress(f"packing rows of {length}", number, len(wanted))
        if not _is_packed(folder, length=length):
            write_rows(store, length=length, seed=seed)
        rows = open_rows(folder, length=length)
        figures[f"rows of {length}"] = sum(rows.domains.values())
        figures[f"share full, {length}"] = round(rows.share, 5)
    return figures


def _is_packed(folder: Path, *, length: int) -> bool:
    try:
        open_rows(folder, length=length)
    except TrainingError:
        return False
    return True
