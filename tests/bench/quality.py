"""Shows what a running service makes of random real listings: share without fallback, what was held back.

    python -m tests.bench.quality --url http://127.0.0.1:8000 --num 50 --seed 1

The listings are those of ../shared/data (private ads and sellers' feeds, half and half). It prints random
samples and ends in one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

LISTINGS = Path(__file__).parents[3] / "shared/data/listings"
SETS = ("avito_2017_private_ads.jsonl.gz", "avito_seller_feeds.jsonl.gz")


def real_listings(num: int, *, seed: int) -> list[dict[str, Any]]:
    """Return /describe bodies of `num` random listings; the descriptions stay out."""
    draw = random.Random(seed)
    chosen: list[dict[str, Any]] = []
    for name in SETS:
        with gzip.open(LISTINGS / name, "rt", encoding="utf-8", newline="\n") as lines:
            rows = [json.loads(line) for line in lines]
        chosen += draw.sample(rows, num - len(chosen) if name == SETS[-1] else num // 2)
    return [_body(row) for row in chosen]


def _body(row: dict[str, Any]) -> dict[str, Any]:
    params = row["params"]
    if isinstance(params, list):  # values without names
        params = {f"Параметр {number}": value for number, value in enumerate(params, 1)}
    price = row.get("price")
    return {
        "title": row["title"][:200],
        "category": row["category"],
        "params": {str(name)[:100]: str(value)[:1000] for name, value in params.items()},
        "price": float(price) if price not in (None, "") else None,
    }


async def answers(url: str, bodies: list[dict[str, Any]], *, parallel: int) -> list[dict[str, Any]]:
    """Return the service's answers in order."""
    gate = asyncio.Semaphore(parallel)
    async with aiohttp.ClientSession() as session:

        async def ask(body: dict[str, Any]) -> dict[str, Any]:
            async with gate, session.post(f"{url}/describe", json=body) as response:
                answer: dict[str, Any] = await response.json(content_type=None)
                if response.status != 200:
                    raise RuntimeError(answer)
                return answer

        return await asyncio.gather(*map(ask, bodies))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--num", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--show", type=int, default=10, help="random samples to print")
    options = parser.parse_args()
    bodies = real_listings(options.num, seed=options.seed)
    found = asyncio.run(answers(options.url, bodies, parallel=options.parallel))
    shown = list(zip(bodies, found, strict=True))
    for body, answer in random.Random(options.seed).sample(shown, min(options.show, len(shown))):
        print(json.dumps(body, ensure_ascii=False))
        print(f"  [{answer['finish']}] {answer['description']}")
        for claim in answer["removed_claims"]:
            print(f"  - {claim['reason']}: {claim['text']}")
    served = [answer for answer in found if answer["finish"] != "fallback"]
    reasons = Counter(claim["reason"] for answer in found for claim in answer["removed_claims"])
    print(
        json.dumps(
            {
                "num": len(found),
                "seed": options.seed,
                "model_version": found[0]["model_version"],
                "without_fallback": round(len(served) / len(found), 3),
                "median_chars": statistics.median(len(answer["description"]) for answer in found),
                "median_total_ms": statistics.median(answer["timings_ms"]["total"] for answer in found),
                "removed": dict(reasons.most_common()),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
