"""The aspects of many reviews put together: how many speak of each, on which side, and in what words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service import guards
from service.morphology import inflected
from service.tasks.aspects import Claim, Reading, diminutives, is_group
from service.tasks.clauses import Clause, clauses
from service.tasks.listing import NEVER_SHOWN
from service.tasks.reviews import Review

REVIEWS_MIN = 2  # that an aspect stands on
TOPICS_MAX = 8  # a side
QUOTES_MAX = 3  # an aspect
QUOTE_CHARS, SENTENCE_CHARS = 200, 140  # a longer sentence is quoted by the clause
_LOOKED_AT = 60  # reviews in which quotes are looked for
_NUMBER = re.compile(r"(?:[\s+(№-]{0,3}\d[\d.,:%/()-]*(?<![.,:(-])(?!\w)){1,9}")
_TELLING = range(12, 161)  # characters of a quote that says enough and is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """An aspect on one side."""

    name: str
    count: int
    quotes: tuple[tuple[str, str], ...]  # (review id, text)

    def told(self) -> dict[str, Any]:
        """Return the topic as the response has it."""
        quotes = [{"review_id": review, "text": text} for review, text in self.quotes]
        return {"aspect": self.name, "count": self.count, "quotes": quotes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Both sides, the most frequent first."""

    pros: tuple[Topic, ...]
    cons: tuple[Topic, ...]


def gather(readings: Sequence[Reading], votes: Mapping[str, int]) -> Topics:
    """Merge the claims of the reviews; `votes` are the model's, by clause."""
    small = diminutives({named.key for one in readings for claim in one.claims for named in claim.named})
    said: dict[int, dict[str, dict[str, tuple[Reading, Claim]]]] = {
        1: defaultdict(dict),
        -1: defaultdict(dict),
    }
    plurals: dict[str, Counter[bool]] = defaultdict(Counter)
    for reading in readings:
        for claim in reading.claims:
            side = claim.side(votes.get(claim.folded, 0))
            for named in claim.named if side else ():
                key = small.get(named.key, named.key)
                plurals[key][named.plural] += 1
                said[side][key].setdefault(reading.review.id, (reading, claim))
    names = {key: _name(key, plurals[key]) for key in plurals}
    return Topics(pros=_side(said[1], names, 1), cons=_side(said[-1], names, -1))


def _name(key: str, plurals: Counter[bool]) -> str:
    """Return an aspect as a reader finds it; empty if it is not fit to be shown."""
    name = key if is_group(key) else inflected(key, case="nomn", plural=plurals[True] > plurals[False])
    return "" if (guards.find(name) or "").startswith(NEVER_SHOWN) else name


def _side(
    said: Mapping[str, Mapping[str, tuple[Reading, Claim]]], names: Mapping[str, str], side: int
) -> tuple[Topic, ...]:
    ranked = sorted(said.items(), key=lambda item: (-len(item[1]), names[item[0]]))
    enough = [(key, of) for key, of in ranked if len(of) >= REVIEWS_MIN and names[key]]
    return tuple(
        Topic(name=names[key], count=len(of), quotes=_quotes([*of.values()], side))
        for key, of in enough[:TOPICS_MAX]
    )


def _quotes(said: Sequence[tuple[Reading, Claim]], side: int) -> tuple[tuple[str, str], ...]:
    """Choose quotes: from clauses of which code is certain, of a telling length, no two alike."""
    found = []
    for order, (reading, claim) in enumerate(said[:_LOOKED_AT]):
        text = quote(reading.review, claim, side=side)
        if text:
            found.append(
                (
                    not claim.judged,
                    not claim.certain,
                    len(text) not in _TELLING,
                    order,
                    reading.review.id,
                    text,
                )
            )
    chosen: dict[str, tuple[str, str]] = {}
    for *_, review, text in sorted(found):
        chosen.setdefault(text.casefold(), (review, text))
    return tuple(list(chosen.values())[:QUOTES_MAX])


def quote(review: Review, claim: Claim, *, side: int) -> str:
    """Return the sentence that a claim stands in, word for word, or the clause where that says too much.

    Empty where neither may be shown.
    """
    own = review.own
    found = clauses(own)
    clause = next(one for one in found if one.words[0].start == claim.start)
    around = [one for one in found if one.sentence == clause.sentence]
    start, end = around[0].words[0].start, _end(own, around[-1])
    while end < len(own) and own[end] in ".!?…":
        end += 1
    others = [one.mood for one in around if one is not clause]
    agrees = all(mood.value != -side and not mood.mixed for mood in others)
    if end - start > SENTENCE_CHARS or not agrees:
        start, end = clause.words[0].start, _end(own, clause)
    text = own[start:end]
    hidden = len(text) > QUOTE_CHARS or (guards.find(text) or "").startswith(NEVER_SHOWN)
    return "" if hidden else text


def _end(text: str, clause: Clause) -> int:
    """Return where a clause ends, with the number that may close it: «размер 42»."""
    end = clause.words[-1].end
    number = _NUMBER.match(text, end)
    return number.end() if number else end
