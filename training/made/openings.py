"""The first sentence of a description: the thing in a case that is sure, with what fits beside it."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from training.made.grammar import lemmas
from training.made.listing import Fact, Listing, Tone
from training.made.wording import Subject, adjective, after

_FIRST: Final = {
    "condition": 0,
    "season": 1,
    "colour": 2,
}  # the order of adjectives; all others stand nearest
_LINKS: Final = ("для", "из", "", "на", "с", "со", "без", "в")
_FEW: Final = 3  # facts: all adjectives of a short card fit into its only sentence
_MEASURE: Final = re.compile(r"\w+(?:ой|ом|ью)\b(?= |$)")  # «весом 2 кг и мощностью 300 Вт»
_STEM: Final = 5  # letters that a noun and its adjective share
_DIGIT: Final = re.compile(r"\d")
_WITH: Final = ("с", "со")
_SELLERS: Final = ("В продаже", "Прода")  # verbs that do not open on a word the seller mistyped


@cache
def plans() -> dict[str, Any]:
    """Return the sentence plans."""
    return tomllib.loads(Path(__file__).with_name("plans.toml").read_text(encoding="utf-8"))


def opening(
    listing: Listing, subject: Subject, tone: Tone, rng: random.Random
) -> tuple[str, list[Fact], bool]:
    """Return the first sentence, the facts that are still untold, and whether the price is told."""
    form, case = _form(listing, subject, rng)
    rest = [fact for fact in listing.facts if not _in_name(fact, subject)]
    rng.shuffle(rest)
    before, behind = _beside(listing, subject, case, rest, rng)
    words = [*(word for _, word in before), subject.named(case) or subject.name, *_owner(listing)]
    thing = " ".join(word for word in words if word)
    thing += "".join(_linked([phrase for _, phrase in behind]))
    gone = {fact.key for fact, _ in (*before, *behind)}
    rest = [fact for fact in listing.facts if fact in rest and fact.key not in gone]
    priced = bool(listing.price) and listing.deal == "sale" and rng.random() < 0.14
    first = form.format(thing)
    if priced and form == "{0}":
        first += f" — {listing.price_text}"
    elif priced and "в продаже" not in first[-9:]:
        first += rng.choice(plans()["price"]["opened"]["sale"]).format(listing.price_text)
    else:
        priced = False
    if (
        tone == "friendly"
        and rng.random() < plans()["friendly"]["share"]
        and not form.startswith("{0}")
        and ":" not in form
    ):
        first = rng.choice(plans()["friendly"]["openings"]) + first[0].lower() + first[1:]
    return first, rest, priced


def _form(listing: Listing, subject: Subject, rng: random.Random) -> tuple[str, str]:
    """Draw an opening whose case the thing's name can take."""
    kind: str = listing.deal
    if kind == "service" and subject.noun and subject.noun.animate:
        kind = "person"
    elif kind == "service" and subject.head == "услуги":
        kind = "services"
    if kind == "work" and subject.noun and not subject.noun.animate:
        kind = "job"
    forms = plans()["opening"][kind]
    cased = [(form, "nomn") for form in forms.get("nomn", [])]
    if subject.name:
        cased += [(form, "nomn") for form in forms.get("plur" if subject.plural else "sing", [])]
    if subject.name and subject.named("accs"):
        cased += [(form, "accs") for form in forms.get("accs", [])]
        if subject.head in plans()["done"]["heads"]:
            cased += [(form, "accs") for form in forms.get("done", [])]
    bare = " " not in subject.name and not listing.brand_typed and not listing.model_typed
    if (kind in {"sale", "service"} and not bare) or not cased:
        cased += [(form, "nomn") for form in forms["plain"]]
    begun = (subject.name or listing.brand_typed or listing.model_typed)[:1]
    if begun.islower() and begun.isascii():
        cased = [one for one in cased if not one[0].startswith("{0}")] or cased
    if not lemmas(subject.name) <= lemmas(listing.title):
        cased = [one for one in cased if not one[0].startswith(_SELLERS)] or cased
    return rng.choice(cased)


def _in_name(fact: Fact, subject: Subject) -> bool:
    """Tell whether the name says the fact already: «горный велосипед»."""
    words = lemmas(fact.value)
    if len(words) == 1 and len(word := next(iter(words))) > _STEM and not _DIGIT.search(word):
        return any(one[:_STEM] == word[:_STEM] for one in lemmas(subject.name))  # «золотое кольцо» из золота
    return (
        bool(words)
        and fact.key not in {"kit", "defects"}
        and words <= lemmas(subject.name)
        and not any(map(str.isdigit, fact.value))
    )


def _beside(
    listing: Listing, subject: Subject, case: str, facts: Iterable[Fact], rng: random.Random
) -> tuple[list[tuple[Fact, str]], list[tuple[Fact, str]]]:
    """Choose facts that stand before the thing as adjectives, and behind it."""
    before: list[tuple[Fact, str]] = []
    behind: list[tuple[Fact, str]] = []
    facts = list(facts)
    most_before, most_behind = rng.choice((0, 1, 2, 2, 3)), rng.choice((0, 1, 1, 2))
    if len(facts) <= _FEW:
        most_before, most_behind = max(most_before, 2), max(most_behind, 1)
    for fact in facts:
        if not subject.name:
            break
        if len(before) < most_before and (word := adjective(fact, subject, case, listing=listing)):
            before.append((fact, word))
        elif len(behind) < most_behind and (phrases := after(fact, subject, listing)):
            behind.append((fact, rng.choice(phrases)))
    behind.sort(key=lambda one: _nearness(one[0], one[1]))
    before.sort(key=lambda one: _FIRST.get(one[0].key, len(_FIRST)))
    return before, behind


def _nearness(fact: Fact, phrase: str) -> int:
    """Rank phrases behind the thing: «из дерева 2015 года на колёсах с ящиком в хорошем состоянии»."""
    first = phrase.split()[0]
    if fact.key == "condition":
        return len(_LINKS)
    return _LINKS.index(first) if first in _LINKS else _LINKS.index("")


def _linked(phrases: list[str]) -> list[str]:
    """Return the phrases with spaces; «с чехлом с пультом» becomes «с чехлом и пультом»."""
    found: list[str] = []
    for phrase in phrases:
        first, _, rest = phrase.partition(" ")
        before = found[-1] if found and " и " not in found[-1] else ""
        if before and first in _WITH and before.split()[0] in _WITH:
            found.append(f" и {rest}")
        elif before and _MEASURE.match(first) and _MEASURE.match(before.strip()):
            found.append(f" и {phrase}")
        else:
            found.append(f" {phrase}")
    return found


def _owner(listing: Listing) -> list[str]:
    """Return brand and model as they are to be copied; a maker's series of Russian goods stands in quotes."""
    model = listing.model_typed
    if model and not listing.brand_typed and not model.isascii():
        model = f"«{model}»"
    return [listing.brand_typed, model]
