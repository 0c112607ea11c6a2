"""How well `model_key` tells one product model from another: hand-made pairs, and real models' collisions."""

from __future__ import annotations

import gzip
import json
import random
import time
import zlib
from collections import defaultdict
from typing import Any

from service.product_models import NORMALIZER_VERSION, canonical_brand, model_key
from tests.bench.report import ROOT, Result, Skipped

PAIRS = ROOT / "tests" / "golden" / "model_pairs.tsv"
MODELS = ROOT.parent / "shared" / "data" / "product_models"
NUM_EXAMPLES = 20

Pair = tuple[str, str, bool, str]


async def run(*, quick: bool) -> Result:
    """Judge the pairs of each split, then the keys of real models, then the time a key takes."""
    result = Result(
        compared=f"keys of normalizer {NORMALIZER_VERSION}: pairs of names written by hand before the rules, "
        "rules tuned on dev, test's mistakes read once (recall 0.957 until then); "
        "gold models of real feeds, each model's key with its brand"
    )
    for split, pairs in splits().items():
        precision, recall, wrong = judge(pairs)
        result.add(f"pairs, {split}", len(pairs), "pairs")
        result.add(f"pairs, {split}: precision", precision, "", least=0.99)
        result.add(f"pairs, {split}: recall", recall, "", least=0.9)
        result.details[f"wrong in {split}"] = wrong
    _real(result)
    _speed(result, rounds=1 if quick else 5)
    return result


def splits() -> dict[str, list[Pair]]:
    """Return the pairs of dev and test, split by a stable hash of the names."""
    found: dict[str, list[Pair]] = {"dev": [], "test": []}
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        a, b, answer, category = line.split("\t")
        split = "test" if zlib.crc32(f"{a}\t{b}".encode()) % 2 else "dev"
        found[split].append((a, b, answer == "same", category))
    return found


def judge(pairs: list[Pair]) -> tuple[float, float, list[str]]:
    """Return precision and recall of «one key, one model», and the pairs answered wrongly."""
    right, merged, same, wrong = 0, 0, 0, []
    for a, b, is_same, category in pairs:
        keys = model_key(a, category=category), model_key(b, category=category)
        equal = keys[0] is not None and keys[0] == keys[1]
        right, merged, same = right + (equal and is_same), merged + equal, same + is_same
        if equal != is_same:
            wrong.append(f"{a} | {b}: {keys[0]} | {keys[1]}")
    return right / max(1, merged), right / max(1, same), wrong


def _real(result: Result) -> None:
    """Count keys that two gold models of one brand share; spelling apart, so that some are right to."""
    if not MODELS.exists():
        raise Skipped(f"the real models are not at {MODELS}")
    found: dict[str, set[str]] = defaultdict(set)
    num = unkeyed = 0
    for row in _rows():
        brand, model = row.get("brand"), row["model"]
        key = model_key(model, brand=brand)
        num, unkeyed = num + 1, unkeyed + (key is None)
        if key:
            found[key].add(f"{canonical_brand(brand or '')}: {''.join(model.lower().split())}")
    shared = {key: sorted(names) for key, names in found.items() if len(names) > 1}
    result.add("real models", num, "rows")
    result.add("real models: distinct keys", len(found), "keys")
    result.add("real models: no key", unkeyed, "rows")
    result.add("real models: keys of two gold spellings", len(shared), "keys")
    examples = random.Random(1).sample(sorted(shared.items()), min(NUM_EXAMPLES, len(shared)))
    result.details["keys of two gold spellings"] = dict(examples)


def _rows() -> list[dict[str, Any]]:
    """Return the real rows with a gold model."""
    rows = []
    for path in sorted(MODELS.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            rows += [json.loads(line) for line in file]
    return [row for row in rows if row.get("model")]


def _speed(result: Result, *, rounds: int) -> None:
    """Time keys of names never seen: a number of each round's own keeps whole-key caches out."""
    texts = [row["model"] for row in _rows()] + [name for pairs in splits().values() for name, *_ in pairs]
    spent = []
    for turn in range(rounds + 1):
        names = [f"{text} {turn}" for text in texts]
        begun = time.process_time()
        for name in names:
            model_key(name)
        spent.append(time.process_time() - begun)
    result.add("processor time of a key, new words", 1e6 * spent[0] / len(texts), "us")
    best = min(spent[1:])
    result.add("processor time of a key, words seen", 1e6 * best / len(texts), "us", below=100)
    result.add("keys per second", len(texts) / best, "1/s")
