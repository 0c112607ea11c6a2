"""Which reviews are worth reading, and in what order: no empty ones, no copies, no text pasted into many."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from service import lexicon
from service.tasks.clauses import WORD, folded, without_labels

READ_CHARS = 3000  # of one review; the longest of 1,500 real ones has 1,761
PASTED_WORDS = 12  # at the end, the same in PASTED_REVIEWS: a shop's answer, not a customer's words
PASTED_REVIEWS = 3
_SALUTATION = re.compile("|".join(lexicon.read("reviews.toml")["labels"]["salutations"]))
_SPELT = re.compile(rf"{WORD.pattern}|\d+")
_REPEATED = re.compile(r"(\w)\1+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review as it came; from `pasted` on the text is not its author's."""

    id: str
    text: str
    rating: int | None
    pasted: int | None = None

    @property
    def own(self) -> str:
        """What is read of the text."""
        return self.text[:READ_CHARS][: self.pasted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """`kept` in reading order; `rated` are the ratings of all but the copies; `skipped` counts by reason."""

    kept: tuple[Review, ...]
    rated: tuple[int, ...]
    skipped: Counter[str]


def sift(reviews: Sequence[Review]) -> Sifted:
    """Choose the reviews to be read.

    The order is that of the texts' hashes: it does not change with the order of the request, and any
    beginning of it is a fair sample, whatever order the caller sorts by. Of copies the one with the
    smallest id stays.
    """
    skipped: Counter[str] = Counter()
    rated = []
    first: dict[str, Review] = {}
    for review in sorted(reviews, key=lambda one: one.id):
        key = _key(review.text)
        if key and key in first:
            skipped["duplicate"] += 1
            continue
        if review.rating is not None:
            rated.append(review.rating)
        if key:
            first[key] = review
        else:
            skipped["empty"] += 1
    kept = []
    for key, marked in zip(first, _mark_pasted(list(first.values())), strict=True):
        if marked is None:
            skipped["pasted"] += 1
        else:
            kept.append((hashlib.blake2b(key.encode(), digest_size=16).digest(), marked))
    kept.sort(key=lambda pair: pair[0])
    return Sifted(kept=tuple(review for _, review in kept), rated=tuple(sorted(rated)), skipped=skipped)


def _key(text: str) -> str:
    """Return what two copies have in common; empty if nothing is said («...», «👍», «10/10», «а»)."""
    text = without_labels(text[: 2 * READ_CHARS])
    if sum(map(str.isalpha, text)) < 2:
        return ""
    return _REPEATED.sub(r"\1", " ".join(folded(word) for word in _SPELT.findall(text)))


def _mark_pasted(reviews: Sequence[Review]) -> list[Review | None]:
    """Mark the end of each text that is not its author's; None if nothing else is left of it.

    Such are the last PASTED_WORDS words or more if PASTED_REVIEWS have the same ones, and what follows a
    salutation in mid-text: sites glue a shop's answer to the review.
    """
    starts: list[list[int]] = []
    backwards: list[list[str]] = []
    for review in reviews:
        matches = list(_SPELT.finditer(review.text[:READ_CHARS]))
        starts.append([match.start() for match in matches])
        backwards.append([folded(match[0]) for match in reversed(matches)])
    order = sorted(range(len(reviews)), key=backwards.__getitem__)
    num_pasted = [0] * len(reviews)
    for first in range(len(order) - PASTED_REVIEWS + 1):
        together = order[first : first + PASTED_REVIEWS]
        num = _num_alike(backwards[together[0]], backwards[together[-1]])
        for at in together:
            num_pasted[at] = max(num_pasted[at], num)
    marked: list[Review | None] = []
    for review, begins, num in zip(reviews, starts, num_pasted, strict=True):
        begin = begins[-num] if num >= PASTED_WORDS else len(review.text)
        begin = min(begin, _answered(review.text))
        own = sum(start < begin for start in begins)
        marked.append(replace(review, pasted=begin) if own else None)
    return marked


def _num_alike(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _answered(text: str) -> int:
    """Return where a shop begins to answer in a text that a site has glued together, or the text's end."""
    for match in _SALUTATION.finditer(text):
        if WORD.search(without_labels(text[: match.start()])):
            return match.start()
    return len(text)
