"""A judge of descriptions that shares no code with the service's guards: it would else acquit what they pass.

The guards compare stems and look for listed claims; this judge works the other way round. It takes every
number, every Latin word and every noun, adjective, verb and adverb (lemmas of pymorphy3) of a sentence and
asks where the seller said it. What is found nowhere is an accusation, unless a closed list (judging.toml)
says that the word claims nothing. So it also accuses praise, uses and conditions that no list of claims
foresees, and errs to the strict side: a true synonym («автомобиль» for «LADA Kalina») is an accusation too.

Said is what title, category, parameters (labels and values; a feed's label also in Russian) or price hold:
the same lemma; a word of one root (suffixes cut off, four letters at least); a part of a compound
(«автокресло», «двухкомнатная» of «2-к»); a shortening with a full stop («жен.»); a word one letter off one
that no dictionary knows (the seller's typing error); what judging.toml calls the same («б/у», «см»).

What it cannot see: true words put together wrongly (the size told as the year), a negation dropped, a number
that the input has for something else. How often it accuses wrongly, and how many planted errors it
finds, `try_judge` measures with every run on made-up listings, whose truth is known. The lists were written
looking at made-up listings of the seeds 5 to 10; the rates are taken with another.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rapidfuzz.distance import DamerauLevenshtein

from service.labels import told_params
from service.sentences import SentenceSplitter
from tests.bench.measures import (
    EXACT,
    PART_MIN,
    PHRASES,
    SAME,
    SILENT,
    TWINS,
    TYPO_MIN,
    Word,
    analyzer,
    compound,
    parts_of,
    plain,
    root,
    words,
)
from training.made.describing import describe
from training.made.listing import TONES, Fact, Listing
from training.made.making import make_listings


@dataclass(frozen=True, kw_only=True)
class Index:
    """A text indexed for the question whether it says a word."""

    text: str
    found: tuple[Word, ...] = field(repr=False)

    @classmethod
    def of(cls, *texts: str) -> Index:
        """Index texts; they stay apart."""
        joined = " \n".join(map(plain, texts))
        return cls(text=joined, found=tuple(word for part in joined.split("\n") for word in words(part)))

    @cached_property
    def _numbers(self) -> frozenset[str]:
        whole = {value for word in self.found if word.kind == "number" for value in word.forms}
        parts = {part for word in self.found if word.kind == "number" for part in parts_of(word.text)}
        spoken = {compound(form) for word in self.found for form in word.forms} - {""}
        return frozenset(whole | parts | spoken)

    @cached_property
    def _lemmas(self) -> frozenset[str]:
        return frozenset(form for word in self.found if word.kind != "number" for form in word.forms)

    @cached_property
    def _groups(self) -> frozenset[int]:
        texts = {word.text for word in self.found} | self._lemmas
        return frozenset(group for text in texts for group in SAME.get(text, ()))

    @cached_property
    def _roots(self) -> frozenset[str]:
        return frozenset(root(lemma) for lemma in self._lemmas - EXACT) - {""}

    @cached_property
    def _shortened(self) -> tuple[str, ...]:
        return tuple(re.findall(r"(?<![а-я])([а-я]{2,6}(?=\.)|[а-я]{2,4}(?=/))", self.text))

    @cached_property
    def _misspelled(self) -> tuple[str, ...]:
        long = {word.text for word in self.found if word.kind == "content" and len(word.text) >= TYPO_MIN}
        return tuple(text for text in long if not analyzer().word_is_known(text))

    @cached_property
    def _glued(self) -> str:
        return re.sub(r"[\W_]", "", self.text).translate(TWINS)

    def says(self, word: Word) -> bool:
        """Tell whether the text says the word; see the module's docstring for how."""
        if word.kind == "number":
            parts = parts_of(word.text)
            return bool(word.forms & self._numbers) or (bool(parts) and parts <= self._numbers)
        groups = {group for form in (word.text, *word.forms) for group in SAME.get(form, ())}
        if word.forms & self._lemmas or groups & self._groups:
            return True
        if word.kind == "latin":
            return any(len(form) >= PART_MIN and form in self._glued for form in word.forms)
        return any(self._kin(form) for form in word.forms)

    def _kin(self, lemma: str) -> bool:
        if lemma not in EXACT and root(lemma) in self._roots:
            return True
        if any(lemma.startswith(short) for short in self._shortened):
            return True
        if len(lemma) > PART_MIN and any(one.endswith(lemma) for one in self._lemmas):
            return True
        if number := compound(lemma):
            return number in self._numbers
        near = any(DamerauLevenshtein.distance(lemma, one, score_cutoff=1) <= 1 for one in self._misspelled)
        return (near and len(lemma) >= TYPO_MIN) or self._joins(lemma)

    def _joins(self, lemma: str) -> bool:
        """Tell whether two words of the text make the compound, «мото» + «шлем»."""
        ends = [at for at in range(3, len(lemma) - 2) if lemma[at:] in self._lemmas]
        return any(
            one.startswith(lemma[:at].rstrip("ое"))
            for at in ends
            for one in self._lemmas
            if one[:3] == lemma[:3]
        )


def input_of(body: Mapping[str, Any]) -> Index:
    """Index what the seller gave in a body of POST /describe; the digits of «Параметр 3» are no facts."""
    labels = [re.sub(r"\d+", "", label) for label in body["params"]]
    told = [label for label, _ in told_params(body["params"])]
    price = f"{body['price']:.12g} руб" if body.get("price") else ""
    texts = [body["title"], body.get("category") or "", *labels, *told, *body["params"].values(), price]
    return Index.of(*(text for text in texts if text))


def accused(sentence: str, *, said: Index) -> list[str]:
    """Return the sentence's numbers, Latin words and content words that the seller did not say."""
    text = PHRASES.sub(" ", plain(sentence))
    return [
        word.text
        for word in words(text)
        if word.kind != "other" and not word.forms & SILENT and not said.says(word)
    ]


def mentioned(value: str, *, description: Index) -> bool | None:
    """Tell whether a value is told: all numbers and Latin words, half of the Russian; None: empty."""
    found = [word for word in words(plain(value)) if word.kind != "other"]
    hard = [word for word in found if word.kind != "content"]
    soft = [word for word in found if word.kind == "content"]
    if not found:
        return None
    told = sum(description.says(word) for word in soft)
    return all(map(description.says, hard)) and 2 * told >= len(soft)


def sentences(text: str) -> list[str]:
    """Cut a text as the service does, so that shown and removed sentences count alike."""
    splitter = SentenceSplitter()
    return [*splitter.feed(text), *splitter.flush()]


@dataclass(kw_only=True)
class Planted:
    """How the judge fares where the truth is known.

    `true` has for each listing (accused sentences, sentences) of its true description; `found` tells for each
    description with one swapped fact whether a word was accused that the true one's was not.
    """

    true: list[tuple[int, int]] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    accused_wrongly: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def try_judge(num: int, *, seed: int) -> Planted:
    """Judge true descriptions of made-up listings, and the same with a fact that another listing has."""
    listings = list(make_listings(num, name="judging", seed=seed))
    of_key: dict[str, list[Fact]] = {}
    for fact in (fact for one in listings for fact in one.facts):
        of_key.setdefault(fact.key, []).append(fact)
    planted = Planted()
    for at, listing in enumerate(listings):
        tone, said = TONES[at % len(TONES)], input_of(body_of(listing))
        text = describe(listing, tone=tone, rng=random.Random(f"{seed}/{at}"))
        faults = [(accused(sentence, said=said), sentence) for sentence in sentences(text)]
        planted.true.append((sum(bool(found) for found, _ in faults), len(faults)))
        planted.accused_wrongly += [f"{found} {sentence}" for found, sentence in faults if found]
        rng = random.Random(f"{seed}/swap/{at}")
        if not (other := _swapped(listing, of_key, said, rng)):
            continue
        changed = describe(other, tone=tone, rng=random.Random(f"{seed}/{at}"))
        if changed != text:
            known = {word for found, _ in faults for word in found}
            planted.found.append(not known.issuperset(accused(changed, said=said)))
            planted.missed += [] if planted.found[-1] else [f"{text} -> {changed}"]
    return planted


def _swapped(
    listing: Listing, of_key: Mapping[str, list[Fact]], said: Index, rng: random.Random
) -> Listing | None:
    """Return the listing with one fact of another's in place of its own, if there is one."""
    options = [
        (fact, other)
        for fact in listing.facts
        for other in of_key[fact.key]
        if plain(other.value) not in said.text
    ]
    if not options:
        return None
    old, new = rng.choice(options)
    new = replace(old, value=new.value, shown=new.shown, param=new.param, several=new.several)
    return replace(listing, facts=tuple(new if fact is old else fact for fact in listing.facts))


def body_of(listing: Listing) -> dict[str, Any]:
    """Return a made-up listing as a body of POST /describe."""
    params = {label or f"Параметр {at}": value for at, (label, value) in enumerate(listing.params, 1)}
    return {
        "title": listing.title,
        "category": listing.category,
        "params": params,
        "price": float(listing.price) if listing.price else None,
    }
