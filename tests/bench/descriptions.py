"""/describe on 300 real listings: what the service shows, how much of it the seller never said, how it reads.

The judge is judging.py, which shares nothing with the service's guards. Sentences before the guards are those
shown and those removed, of every attempt; the sentences of a fallback are the service's own and count only as
shown. What can be told of a parameter is what the prompt tells: not what a feed says to its marketplace.

Fluency is bits per character under the base Gemma 3 270M, which saw none of our training: a description is
foretold from nothing, so that each broken ending and odd word costs bits; so do the input's rare names.
Therefore it stands beside three texts on the same listings: the sellers' own descriptions (cut at the same
length), the same words shuffled, the same words with wrong endings. The score is of use only if the last two
are clearly worse; fluent is what lies near the sellers' own or below. It prefers what is usual: set phrases
score better than lively ones. A served model that is the foreteller judges itself, a fine-tune of it in part.
Beside each value stand ± one standard error and n (measures.py).
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from service.labels import told_params
from tests.bench import measures
from tests.bench.connection import Client, client, post
from tests.bench.judging import Index, accused, input_of, mentioned, sentences, try_judge
from tests.bench.load import in_parallel
from tests.bench.measures import add, add_answers, add_shares
from tests.bench.report import ROOT, Result, Skipped, percentile
from tests.bench.stage import default_card, real_service

LISTINGS = ROOT.parent / "shared" / "data" / "listings"
SETS = ("avito_2017_private_ads.jsonl.gz", "avito_seller_feeds.jsonl.gz")
NUM, NUM_TONE, NUM_MADE, NUM_SHOWN = 300, 30, 300, 40
TONES = ("friendly", "concise")  # beside the usual one
AT_ONCE = 8
SEED, JUDGE_SEED = 1, 4711
FAILED_MAX = 0.1  # of all answers: beyond it the service is broken and nothing is measured
FORETELLER = "gemma3-270m"


@dataclass(frozen=True, kw_only=True)
class Real:
    """A real listing: its place in the data, its body for POST /describe, the seller's own description."""

    source: str
    row: int
    body: dict[str, Any]
    own: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One answer held against its input."""

    real: Real
    answer: dict[str, Any]
    total_s: float

    @property
    def text(self) -> str:
        return str(self.answer["description"])

    @property
    def fallback(self) -> bool:
        return bool(self.answer["finish"] == "fallback")

    @cached_property
    def said(self) -> Index:
        return input_of(self.real.body)

    @cached_property
    def shown(self) -> list[tuple[str, list[str]]]:
        """Return the shown sentences with what is unsupported in them."""
        return [(one, accused(one, said=self.said)) for one in sentences(self.text)]

    @cached_property
    def removed(self) -> list[tuple[str, list[str]]]:
        claims = self.answer["removed_claims"]
        return [(one["text"], accused(one["text"], said=self.said)) for one in claims]

    def told(self, *, untold: bool = False) -> list[tuple[str, bool]]:
        """Return the values that say anything and whether they stand in the text."""
        body = self.real.body
        values = [*body["params"].values()] if untold else [value for _, value in told_params(body["params"])]
        values += [f"{body['price']:.12g}"] if body["price"] else []
        description = Index.of(self.text)
        found = [(value, mentioned(value, description=description)) for value in values]
        return [(value, told) for value, told in found if told is not None]


def real_sample(num: int, *, seed: int) -> list[Real]:
    """Return `num` random listings, private ads and sellers' feeds half and half. Raises Skipped."""
    if not all((LISTINGS / name).exists() for name in SETS):
        raise Skipped(f"the real listings are not at {LISTINGS}")
    draw = random.Random(seed)
    chosen: list[Real] = []
    for name in SETS:
        with gzip.open(LISTINGS / name, "rt", encoding="utf-8", newline="\n") as lines:
            rows = [(at, row) for at, row in enumerate(map(json.loads, lines)) if row["title"].strip()]
        for at, row in draw.sample(rows, num - len(chosen) if name == SETS[-1] else num // 2):
            own = " ".join((row.get("description") or "").split())
            chosen.append(Real(source=name, row=at, body=_body(row), own=own))
    return chosen


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


async def run(*, quick: bool) -> Result:
    """Ask for all listings in the usual tone and for some in the others, then judge."""
    sample = real_sample(16 if quick else NUM, seed=SEED)
    few = random.Random(SEED).sample(sample, 4 if quick else NUM_TONE)
    card = default_card()
    async with real_service(card=card) as url, client(url) as served:
        asked = {"neutral": await _answers(served, sample, tone="neutral")}
        asked |= {tone: await _answers(served, few, tone=tone) for tone in TONES}
    biased = f"; {card} is the foreteller itself, its fluency is biased" if card == FORETELLER else ""
    result = Result(
        compared=f"{card} behind POST /describe; {len(sample)} random real listings (seed {SEED}), half "
        f"private ads, half sellers' feeds, {AT_ONCE} at once; a judge that shares nothing with the guards; "
        f"fluency: bits per character under the base {FORETELLER}{biased}",
        details={"failed": {tone: failed for tone, (_, failed) in asked.items()}},
    )
    usual = asked["neutral"][0]
    for tone, (judged, failed) in asked.items():
        _add_main(result, "" if tone == "neutral" else f"{tone}: ", judged, len(failed))
    _add_more(result, usual)
    _add_form(result, usual, [one for judged, _ in asked.values() for one in judged])
    _add_fluency(result, usual)
    _add_judge(result, 40 if quick else NUM_MADE)
    shown = random.Random(SEED).sample(usual, min(NUM_SHOWN, len(usual)))
    result.details[f"answers (random, seed {SEED})"] = [_told(one) for one in shown]
    return result


async def _answers(served: Client, sample: Sequence[Real], *, tone: str) -> tuple[list[Judged], list[str]]:
    """Return the answers in order, and what failed. Raises RuntimeError where too much does."""
    found: dict[int, Judged] = {}
    failed: list[str] = []

    async def ask(at: int) -> None:
        real = sample[at]
        reply = await served.ask(post("/describe", orjson.dumps({**real.body, "tone": tone})))
        if reply.status == 200:
            found[at] = Judged(real=real, answer=orjson.loads(reply.body), total_s=reply.total_s)
        else:
            failed.append(f"{real.source} {real.row}: status {reply.status}")

    await in_parallel(ask, range(len(sample)), num_workers=AT_ONCE)
    if len(failed) > FAILED_MAX * len(sample):
        raise RuntimeError(f"{len(failed)} of {len(sample)} answers failed: {failed[0]}")
    return [found[at] for at in sorted(found)], failed


def _count(found: Sequence[tuple[str, object]]) -> tuple[int, int]:
    return sum(bool(verdict) for _, verdict in found), len(found)


def _add_main(result: Result, name: str, judged: Sequence[Judged], num_failed: int) -> None:
    """Add what is counted for every tone."""
    served = [not one.fallback for one in judged] + [False] * num_failed
    before = [_count([*([] if one.fallback else one.shown), *one.removed]) for one in judged]
    after = [_count(one.shown) for one in judged]
    add_answers(result, f"{name}served without fallback", served, least=90)
    add_shares(result, f"{name}unsupported sentences before the guards", before)
    add_shares(result, f"{name}unsupported sentences after the guards", after, below=2)
    add_shares(result, f"{name}parameters mentioned", [_count(one.told()) for one in judged], least=80)


def _add_more(result: Result, usual: Sequence[Judged]) -> None:
    """Add whose sentences are unsupported, and the parameters that no prompt tells."""
    own = [_count(one.shown) for one in usual if not one.fallback]
    add_shares(result, "unsupported, the model's sentences after the guards", own)
    faulty = [_count(one.shown)[0] > 0 for one in usual]
    add_answers(result, "descriptions with an unsupported sentence", faulty)
    told = [_count(one.told(untold=True)) for one in usual]
    add_shares(result, "mentioned of all, a feed's own affairs too", told)
    reasons = Counter(claim["reason"] for one in usual for claim in one.answer["removed_claims"])
    accusations = Counter(word for one in usual for _, words in one.shown for word in words)
    result.details |= {"removed": dict(reasons.most_common()), "accused": dict(accusations.most_common(60))}


def _add_form(result: Result, usual: Sequence[Judged], everything: Sequence[Judged]) -> None:
    """Add contacts (of all tones), repetition, lengths, time."""
    contacts = [measures.has_contact(one.text) for one in everything]
    repeated = [measures.repeats(one.text) for one in usual]
    add_answers(result, "descriptions with a contact", contacts, below=0.1)
    add_answers(result, "descriptions with four words in a row twice", repeated)
    lengths = {"characters": [len(one.text) for one in usual], "sentences": [len(one.shown) for one in usual]}
    for unit, values in lengths.items():
        for share in (0.05, 0.5, 0.95):
            result.add(f"length, {100 * share:.0f} % of descriptions up to", percentile(values, share), unit)
    result.add("whole answer p50", percentile([one.total_s for one in usual], 0.5), "s")


def _add_fluency(result: Result, usual: Sequence[Judged]) -> None:
    shown, own = [one.text for one in usual], [one.real.own for one in usual]
    for name, (found, num) in measures.fluency(shown, own, card=FORETELLER).items():
        add(result, f"fluency: {name}", found.value, found.stderr, num, "bits/char")
    unknown = [measures.unknown_words(one.text, said=one.said.text) for one in usual]
    add_shares(result, "words that neither a dictionary nor the input has", unknown)


def _add_judge(result: Result, num: int) -> None:
    planted = try_judge(num, seed=JUDGE_SEED)
    add_shares(result, "the judge: true sentences accused", planted.true)
    add_answers(result, "the judge: swapped facts found", planted.found)
    examples = {"accused wrongly": planted.accused_wrongly[:30], "missed": planted.missed[:20]}
    result.details[f"the judge on {num} made-up listings, seed {JUDGE_SEED}"] = examples


def _told(one: Judged) -> dict[str, Any]:
    """Return an answer with its input and all verdicts, for a person to judge the judge."""
    reasons = [claim["reason"] for claim in one.answer["removed_claims"]]
    removed = [f"{at}: {text} {words}" for at, (text, words) in zip(reasons, one.removed, strict=True)]
    return {
        "row": f"{one.real.source} {one.real.row}",
        "input": one.real.body,
        "finish": one.answer["finish"],
        "description": one.text,
        "unsupported": [f"{words} {text}" for text, words in one.shown if words],
        "removed": removed,
        "not mentioned": [value for value, told in one.told() if not told],
    }
