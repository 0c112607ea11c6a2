"""797 real reviews of one product, summarized anew with 1, 2 and 4 questions to the real engine at once.

What is counted does not depend on the number at once; what can be checked of it without a person is: every
quote in its review, no aspect on one review only, the same answer at once from the store.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import orjson

from tests.bench.connection import Reply, client, post
from tests.bench.measures import add_answers
from tests.bench.report import ROOT, Result, Skipped
from tests.bench.stage import default_card, real_service

FILE = ROOT.parent / "shared" / "data" / "reviews" / "one_product_nightlight.jsonl.gz"
NAME = "Ночник-проектор звёздное небо «космонавт»"
AT_ONCE = (1, 2, 4)


async def run(*, quick: bool) -> Result:
    """Summarize the reviews with a fresh engine and an empty store for each number at once."""
    body = reviews(80 if quick else None)
    result = Result(
        compared=f"{default_card()} on one vLLM; POST /summarize-reviews of {len(body['reviews'])} real "
        "reviews, with a fresh engine and an empty store each time, then once more with what the store holds"
    )
    for at_once in AT_ONCE[-1:] if quick else AT_ONCE:
        async with real_service(settings={"LLM_MAX_PARALLEL": str(at_once)}) as url, client(url) as served:
            first = await served.ask(post("/summarize-reviews", orjson.dumps(body)))
            again = await served.ask(post("/summarize-reviews", orjson.dumps(body)))
        answer, same = (_read(reply) for reply in (first, again))
        result.add(f"{at_once} at once: wall time", first.total_s, "s")
        result.add(f"{at_once} at once: once more, from the store", again.total_s, "s")
        result.add(f"{at_once} at once: reviews read", answer["used_reviews"], "reviews")
        result.add(f"{at_once} at once: same answer from the store", float(same == answer), "", least=1)
    _check(result, body, answer)
    return result


def reviews(num: int | None) -> dict[str, Any]:
    """Return the body of the request; the data lies beside the repository. Raises Skipped."""
    if not FILE.exists():
        raise Skipped(f"the real reviews are not at {FILE}")
    with gzip.open(FILE, "rt", encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line) for line in file][:num]
    listed = [{"id": str(at), "text": row["text"], "rating": row["rating"]} for at, row in enumerate(rows)]
    return {"subject": {"kind": "product", "name": NAME}, "reviews": listed}


def _read(reply: Reply) -> dict[str, Any]:
    """Return what is answered, without what differs each time (its id, its times, its tokens)."""
    answer = orjson.loads(reply.body)
    if reply.status != 200:
        raise RuntimeError(f"status {reply.status}: {answer}")
    return {name: value for name, value in answer.items() if name not in ("id", "timings_ms", "usage")}


def _check(result: Result, body: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    texts = {review["id"]: review["text"] for review in body["reviews"]}
    aspects = [*answer["pros"], *answer["cons"]]
    quotes = [quote for aspect in aspects for quote in aspect["quotes"]]
    standing = sum(aspect["count"] > 1 for aspect in aspects)
    verbatim = sum(quote["text"] in texts[quote["review_id"]] for quote in quotes)
    result.add("aspects", len(aspects), "aspects")
    result.add("aspects on two reviews or more", 100 * standing / len(aspects), "%", least=100)
    result.add("quotes", len(quotes), "quotes")
    result.add("quotes verbatim", 100 * verbatim / len(quotes), "%", least=100)
    _add_stars(result, body, answer)
    kept = ("summary", "finish", "rating", "used_reviews", "skipped", "contradictory_reviews", "partial")
    result.details |= {key: answer[key] for key in kept}
    for side in ("pros", "cons"):
        result.details[side] = {aspect["aspect"]: aspect["count"] for aspect in answer[side]}


def _add_stars(result: Result, body: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """Add how often a side's quotes stand in reviews of that side's stars; a happy buyer too may blame."""
    stars = {review["id"]: review["rating"] for review in body["reviews"] if review["rating"]}
    every = list(stars.values())
    for side, fits in (("pros", lambda rating: rating >= 4), ("cons", lambda rating: rating <= 3)):
        ids = [quote["review_id"] for aspect in answer[side] for quote in aspect["quotes"]]
        found = [bool(fits(stars[one])) for one in ids if one in stars]
        if found:
            add_answers(result, f"{side}: quotes from reviews of fitting stars", found)
            add_answers(result, f"{side}: all reviews of fitting stars", [bool(fits(one)) for one in every])
