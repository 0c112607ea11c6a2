"""Real listings as bodies of POST /describe; the data lies beside the repository and is not part of it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

from tests.bench.report import ROOT, Skipped

FOLDER = ROOT.parent / "shared" / "data" / "listings"
ADS, FEEDS = "avito_2017_private_ads.jsonl.gz", "avito_seller_feeds.jsonl.gz"


def bodies(num: int) -> list[dict[str, Any]]:
    """Return `num` listings from all over the files, two private ads to one shop's, mixed. Raises Skipped."""
    if not (FOLDER / ADS).exists() or not (FOLDER / FEEDS).exists():
        raise Skipped(f"the real listings are not at {FOLDER}")
    num_feeds = num // 3
    found = [*_every(FOLDER / ADS, num - num_feeds), *_every(FOLDER / FEEDS, num_feeds)]
    random.Random(1).shuffle(found)
    return [_body(row) for row in found]


def _every(path: Path, num: int) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if row["title"].strip()]
    return [rows[index * len(rows) // num] for index in range(num)]


def _body(row: dict[str, Any]) -> dict[str, Any]:
    params = row["params"]
    if isinstance(params, list):  # the private ads have values only
        params = {f"Параметр {index}": value for index, value in enumerate(params, 1)}
    return {
        "title": row["title"][:200],
        "category": (row.get("category") or "")[:200] or None,
        "params": {name[:100]: str(value)[:1000] for name, value in params.items() if str(value).strip()},
        "price": float(row["price"]) if row.get("price") else None,
        "stream": True,
    }
