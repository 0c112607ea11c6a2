"""The recipe's stages in their order. A new one is its module, one line here, one section in config.py."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from models.card import CARDS
from models.store import default_cache
from training import corpus
from training.bases import resolve_base
from training.embeddings import swap_embeddings
from training.errors import CheckpointError
from training.recipe import Stage, Work
from training.scoring import bits_per_character
from training.tokenizer import train_tokenizer
from training.vocabulary.base import Vocabulary
from training.vocabulary.comparison import report
from training.vocabulary.loading import load_vocabulary
from training.vocabulary.sample import sample
from training.vocabulary.texts import read_texts

COMPARED: Final = 1_000  # held-out documents a domain
CONTEXT: Final = 512
SCORED: Final = 1_000  # characters of a document: twenty novels whole would take hours on a CPU
_FINGERPRINTED: Final = ("config.json", "*.safetensors", "tokenizer*", "tekken*.json")


def train(work: Work) -> dict[str, Any]:
    """Train the vocabulary on the corpus and compare it on the documents held out."""
    settings = work.run.tokenizer
    assert settings
    texts = sample(
        corpus.shards(work.before["corpus"]),
        budget_mb=settings.sample_mb,
        upweight=settings.upweight,
        seed=work.run.seed,
    )
    figures = train_tokenizer(texts, settings=settings, folder=work.folder, progress=work.progress)
    held_out = _held_out(work, limit=COMPARED)
    if not held_out:
        return figures
    work.progress("comparing", 1, 1)
    new = load_vocabulary(str(work.folder))
    new.name = work.run.name  # not that of the folder, which is half-made
    found = report([new, *map(_vocabulary, settings.compare_with)], held_out)
    found.save(work.folder / "report")
    for row in found.rows:
        if row.tokenizer == new.name:
            figures[f"characters a token, {row.texts}"] = round(row.characters_per_token, 2)
    return figures


def swap(work: Work) -> dict[str, Any]:
    """Give the base the new vocabulary; score both on documents held out, if the run asks for it."""
    settings = work.run.embeddings
    assert settings
    base, tokenizer = _base(work.run.data, settings.base), work.before["tokenizer"]
    shards = corpus.shards(work.before["corpus"])
    budget = settings.focus_sample_mb
    texts = sample(shards, budget_mb=budget, upweight={}, seed=work.run.seed)
    work.progress(settings.method, 0, 1)
    figures = swap_embeddings(
        base,
        old=load_vocabulary(str(base)),
        new=load_vocabulary(str(tokenizer)),
        tokenizer=tokenizer,
        target=work.folder,
        method=settings.method,
        seed=work.run.seed,
        shard_mb=settings.shard_mb,
        corpus=texts,
        dimensions=settings.focus_dimensions,
    )
    for domain, texts_of in _held_out(work, limit=settings.score_documents).items():
        held_out = [text[:SCORED] for text in texts_of]
        work.progress(f"scoring {domain}", 1, 1)
        before, after = (bits_per_character(one, held_out, context=CONTEXT) for one in (base, work.folder))
        figures[f"bits a character, {domain}"] = f"{before.value:.3f} → {after.value:.3f}"
    return figures


def _held_out(work: Work, *, limit: int) -> dict[str, list[str]]:
    """Return the first documents of each domain that were kept for measuring."""
    if not limit:
        return {}
    shards = corpus.shards(work.before["corpus"], part="heldout")
    texts = {domain: _texts(paths) for domain, paths in shards.items()}
    return {domain: found for domain, some in texts.items() if (found := list(islice(some, limit)))}


def _texts(paths: Any) -> Iterator[str]:
    return chain.from_iterable(map(read_texts, paths))


def _vocabulary(reference: str) -> Vocabulary:
    if reference.startswith("card:"):
        return load_vocabulary(str(resolve_base(reference, cache=default_cache())))
    return load_vocabulary(reference)


def _base(data: str, reference: str) -> Path:
    """Return the base's folder; a relative one begins where the sources do, or here."""
    beside = Path(data) / reference
    return resolve_base(str(beside) if beside.is_dir() else reference, cache=default_cache())


def _base_files(data: str, reference: str) -> list[Path]:
    """Return what tells one base from another of the same name. A folder is looked into before any stage."""
    if reference.startswith("card:"):
        return [path for path in [CARDS / f"{reference.removeprefix('card:')}.toml"] if path.is_file()]
    if reference == "tiny" or reference.startswith("hf://"):
        return []
    folder = _base(data, reference)
    files = [path for pattern in _FINGERPRINTED for path in sorted(folder.glob(pattern)) if path.is_file()]
    if not files:
        raise CheckpointError(f"base {reference}: {folder} has neither config.json nor weights")
    return files


STAGES: Final[tuple[Stage, ...]] = (
    corpus.STAGE,
    Stage("tokenizer", settings=lambda run: run.tokenizer, inputs=lambda run: [], build=train),
    Stage(
        "embeddings",
        settings=lambda run: run.embeddings,
        inputs=lambda run: _base_files(run.data, run.embeddings.base) if run.embeddings else [],
        build=swap,
    ),
)
