"""A small corpus in shards and its packing, as the recipe calls it, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zstandard

from training import config, packing
from training.recipe import Work
from training.samples import make_texts
from training.tokenizer import train_tokenizer

DOMAINS = ("listings", "reviews")
TEXTS = {
    domain: [text for text, _ in make_texts(config.Source(name=domain, made=300, domain=domain), seed=1)]
    for domain in DOMAINS
}
RUN = {
    "name": "probe",
    "corpus": {"sources": [{"name": "a", "made": 1, "domain": "listings"}]},
}


def write_corpus(folder: Path, texts: dict[str, list[str]], *, shards: int = 2) -> None:
    for domain, some in texts.items():
        place = folder / "data" / domain
        place.mkdir(parents=True, exist_ok=True)
        for shard in range(shards):
            lines = [json.dumps({"text": text}, ensure_ascii=False) for text in some[shard::shards]]
            packed = zstandard.compress("\n".join(lines).encode())
            (place / f"{shard:05}.jsonl.zst").write_bytes(packed)


def build_packing(out: Path, material: Path, *, corpus: Path | None = None, **options: Any) -> dict[str, Any]:
    run = config.Run.model_validate_json(json.dumps(RUN))
    work = Work(run, out, {"corpus": corpus or material / "corpus"}, lambda note, done, total: None)
    options = {"vocabulary_folder": material / "tokenizer", "lengths": [256]} | options
    return packing.build(work, **options)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_material(folder: Path) -> Path:
    """Write a corpus and a tokenizer."""
    write_corpus(folder / "corpus", TEXTS)
    train_tokenizer(TEXTS["listings"], settings=config.Tokenizer(vocabulary=700), folder=folder / "tokenizer")
    return folder
