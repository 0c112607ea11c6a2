"""Titles with known brand and model, out of real feeds; the data lies beside the repository."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

from tests.bench.report import ROOT, Skipped

FOLDER = ROOT.parent / "shared" / "data" / "product_models"
# Feeds whose rows without a model say that there is none; in the others it is simply not filled in.
NAMES_NONE = ("lamoda_asos_clothes_brand_ru", "wildberries_brand_title_ru")
ENGLISH = "walmart_amazon_en"


@dataclass(frozen=True, slots=True)
class Gold:
    """One title and what its feed says; `split` is of the title's hash, so that it stays."""

    source: str
    title: str
    category: str | None
    description: str | None
    brand: str | None
    model: str | None

    @property
    def split(self) -> str:
        """Return fit or test, half and half."""
        return "fit" if hashlib.sha256(self.title.encode()).digest()[0] % 2 else "test"

    @property
    def names_none(self) -> bool:
        """True where the right answer is null."""
        return self.model is None and self.source in NAMES_NONE


def gold(*, most: int, seed: int = 1) -> list[Gold]:
    """Return up to `most` random rows of every feed that tell the model, or that none is. Raises Skipped."""
    if not FOLDER.exists():
        raise Skipped(f"the real titles are not at {FOLDER}")
    found: list[Gold] = []
    for path in sorted(FOLDER.glob("*.jsonl.gz")):
        rows = [row for row in _read(path) if row.model or row.names_none]
        random.Random(seed).shuffle(rows)
        found += rows[:most]
    return found


def _read(path: Path) -> list[Gold]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Gold(
            source=path.name.removesuffix(".jsonl.gz"),
            title=row["title"][:500],
            category=row.get("category"),
            description=row.get("description"),
            brand=row.get("brand"),
            model=row.get("model"),
        )
        for row in rows
        if row["title"].strip()
    ]
