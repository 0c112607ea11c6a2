"""How short our vocabularies make real texts that they were not trained on, beside those of known models."""

from __future__ import annotations

import gzip
import json
import random
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.bench.report import ROOT, Result, Skipped
from training.config import Tokenizer
from training.tokenizer import train_tokenizer
from training.vocabulary.base import Vocabulary
from training.vocabulary.comparison import report
from training.vocabulary.loading import load_vocabulary
from training.vocabulary.measure import Measured
from training.vocabulary.sample import sample

DATA = ROOT.parent / "shared" / "data"
BASES = Path.home() / ".cache" / "listing-llm" / "servable"  # what `serve` has unpacked, if it ever ran
# Domain -> files, the field with the text, the field whose value decides which side a document is on.
TRAINED = {
    "listings": [
        ("listings/avito_2017_private_ads", "description", "description"),
        ("listings/avito_seller_feeds", "description", "description"),
        ("listings/avito_2017_descriptions_unpaired", "text", "text"),
        ("listings/avito_2017_titles_unpaired", "text", "text"),
    ],
    "reviews": [
        ("reviews/restaurants", "text", "text"),
        ("reviews/places_text_only", "text", "text"),
    ],
    "prose": [
        ("corpus/literature_novels_pd", "text", "work"),  # whole novels and plays, for their names return
        ("corpus/drama_rusdracor", "text", "work"),
    ],
    "documentation": [
        ("corpus/docs_debian_packages", "text", "text"),
        ("corpus/docs_php", "text", "text"),
        ("corpus/docs_rust_book", "text", "text"),
        ("corpus/docs_progit2", "text", "text"),
    ],
    "dialogues": [
        ("dialogues/short_dialogues_cc0", "dialogue", "dialogue"),
        ("corpus/fortunes_ru", "text", "text"),
    ],
}
ONLY_MEASURED = {
    "English questions": ("multiple_choice/mmlu_en_test_sample", "question"),
    "English product titles": ("product_models/walmart_amazon_en", "title"),
}
TITLES = "listings/avito_2017_titles_unpaired"
HELD_OUT = {"listings": 0.2, "reviews": 0.2, "prose": 0.1}  # share of the documents; the rest trains only
UPWEIGHT = {"listings": 15.0, "reviews": 2.0, "english": 2.0}
LEAST = {"listings": 3.3, "prose": 3.7, "English questions": 3.5}
RUSSIAN = ("listings", "prose")
VOCABULARIES = (32_768, 49_152)
NUM_MEASURED = 1_000  # documents of a set, the most
SHINGLE = 12  # characters; a held-out listing that shares half of them with a trained one is left out

Split = tuple[dict[str, list[str]], dict[str, list[str]]]


async def run(*, quick: bool) -> Result:
    """Train each vocabulary, then measure all on the documents that were held out."""
    if not DATA.exists():
        raise Skipped(f"the real texts are not at {DATA}")
    sizes = VOCABULARIES[:1] if quick else VOCABULARIES
    trained, held_out = split(share=0.2 if quick else 1.0)
    result = Result(
        compared="characters per token on documents held out by a hash (prose by whole works, listings "
        "without near-duplicates of trained ones, English of other sources), ± 95 % over documents; "
        f"byte-level BPE of {' and '.join(f'{size:,}' for size in sizes)}, factors {UPWEIGHT}"
    )
    with tempfile.TemporaryDirectory() as folder:
        ours = [_train(result, trained, vocabulary=size, folder=Path(folder)) for size in sizes]
        rows = report([*ours, *others()], held_out).rows
    _tell(result, rows, ours=[vocabulary.name for vocabulary in ours])
    return result


def split(*, share: float = 1.0) -> Split:
    """Return the texts by domain: to train on (that share of them), and held out (NUM_MEASURED at most)."""
    trained: dict[str, list[str]] = {}
    held_out: dict[str, list[str]] = {}
    for domain, files in TRAINED.items():
        both: tuple[list[str], list[str]] = ([], [])
        for name, field, key in files:
            for row in rows_of(name):
                if text := _text(row.get(field)):
                    aside = _hash(_text(row[key])) < HELD_OUT.get(domain, 0)
                    if not (aside and name == TITLES):
                        both[aside].append(text)
        trained[domain], held_out[domain] = both
    held_out = {domain: held_out[domain] for domain in HELD_OUT}
    held_out["listings"] = _unlike(held_out["listings"], trained["listings"])
    trained["english"] = list(english())
    for name, (file, field) in ONLY_MEASURED.items():
        held_out[name] = [row[field] for row in rows_of(file)]
    rng = random.Random(1)
    few = {domain: rng.sample(texts, int(share * len(texts))) for domain, texts in trained.items()}
    return few, {name: rng.sample(texts, min(NUM_MEASURED, len(texts))) for name, texts in held_out.items()}


def english() -> Iterator[str]:
    """Yield English to train on: what packages say of themselves, and words as often as English has them.

    The packages are few and speak of programs. The words are those of Mistral's vocabulary, whose order is
    that of its merges, drawn by Zipf's law; a vocabulary is learned from words, not from sentences.
    """
    for package in metadata.distributions():
        yield str(package.metadata.get_payload() or package.metadata.get("Description") or "")
    surfaces = [piece.surface or b"" for piece in load_vocabulary("mistral-v0.1").pieces]
    words = [surface.decode() for surface in surfaces if re.fullmatch(rb" [A-Za-z][a-z]*", surface)]
    rng, weights = random.Random(1), [1 / (rank + 10) for rank in range(len(words))]
    for _ in range(1_000):
        yield "".join(rng.choices(words, weights, k=800))


def others() -> list[Vocabulary]:
    """Return the yardsticks; Gemma's only where the service has unpacked it."""
    found = [load_vocabulary("mistral-v0.1"), load_vocabulary("tekken")]
    for path in sorted(BASES.glob("gemma3-270m-*/tokenizer.json"))[:1]:
        gemma = load_vocabulary(str(path.parent))
        gemma.name = "gemma3"
        found.append(gemma)
    return found


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of the shared data."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)


def _text(value: object) -> str:
    return "\n".join(value) if isinstance(value, list) else str(value or "")


def _hash(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32


def _unlike(texts: Sequence[str], trained: Sequence[str]) -> list[str]:
    known = {part for text in trained for part in _shingles(text)}
    return [text for text in dict.fromkeys(texts) if len(_shingles(text) & known) < len(_shingles(text)) / 2]


def _shingles(text: str) -> set[str]:
    return {text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))}


def _train(result: Result, texts: dict[str, list[str]], *, vocabulary: int, folder: Path) -> Vocabulary:
    shards = {}
    for domain, found in texts.items():
        shards[domain] = [folder / f"{domain}.jsonl"]
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in found if text)
        shards[domain][0].write_text("".join(lines), encoding="utf-8")
    settings = Tokenizer(vocabulary=vocabulary, sample_mb=1_000, upweight=UPWEIGHT)
    drawn = list(sample(shards, budget_mb=settings.sample_mb, upweight=settings.upweight, seed=1))
    characters = sum(map(len, drawn))
    listings = UPWEIGHT["listings"] * sum(map(len, texts["listings"]))
    made = folder / f"ours-{vocabulary // 1024}k"
    figures = train_tokenizer(drawn, settings=settings, folder=made)
    name = f"{vocabulary:,}"
    result.add(f"{name}: trained on", figures["MB of text"], "MB")
    result.add(f"{name}: of that listings", listings / characters, "of the characters")
    result.add(f"{name}: training", figures["MB/s"], "MB/s", least=1.0)
    return load_vocabulary(str(made))


def _tell(result: Result, rows: Sequence[Measured], *, ours: Sequence[str]) -> None:
    mistral = {row.texts: row.characters_per_token for row in rows if row.tokenizer == "mistral-v0.1"}
    for row in rows:
        name, is_ours = f"{row.texts} (n={row.documents}), {row.tokenizer}", row.tokenizer in ours
        least = LEAST.get(row.texts) if is_ours else None
        result.add(f"{name}: characters per token", row.characters_per_token, "", least=least)
        result.add(f"{name}: ±", row.plus_minus, "")
        if is_ours:
            wanted = 1.5 if row.texts in RUSSIAN else None
            ratio = row.characters_per_token / mistral[row.texts]
            result.add(f"{name}: times Mistral's", ratio, "", least=wanted)
            result.add(f"{name}: texts changed by a round trip", row.round_trip_failures, "", below=1)
        result.details[name] = {
            "tokens per word": round(row.tokens_per_word, 3),
            "words of one token": round(row.one_token_words, 3),
            "byte fallback": round(row.byte_fallback, 5),
            "encoded, MB/s": round(row.megabytes_per_second, 2),
        }
