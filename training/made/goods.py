"""Things that no file of the catalogue has, and titles of a fixed form (flats, cars): words in goods.toml."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from training.made.catalogue import Category, Param, Thing
from training.made.grammar import noun
from training.made.invented import make_brand, make_model
from training.made.listing import Fact, Listing

_PLACE: Final = re.compile(r"\{(\w+)\}")
_ODD_SHARE: Final = 0.6


@cache
def _bank() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def make_stray(rng: random.Random, *, common: Mapping[str, Param]) -> tuple[Category, Thing]:
    """Return a random thing of everyday life with few parameters, in a category of its own."""
    shelf = rng.choices(_bank()["shelf"], [len(one["names"]) for one in _bank()["shelf"]])[0]
    name = rng.choice(shelf["names"])
    head, plural = head_of(name)
    asked = _odd_params(rng) if shelf.get("deal", "sale") == "sale" else {}
    params = tuple(key for key in shelf.get("params", []) if key in common) + tuple(asked)
    brands: dict[str, tuple[str, ...]] = {}
    if shelf.get("branded", False) and rng.random() < 0.5:
        brands = {make_brand(rng): (make_model(rng),)}
    thing = Thing(
        name=name, head=head, plural=plural, price=tuple(shelf["price"]), params=params, models=brands
    )
    sections = tuple(shelf["section"])
    return Category.model_construct(
        section=sections, deal=shelf.get("deal", "sale"), thing=(thing,), param={**common, **asked}
    ), thing


def _odd_params(rng: random.Random) -> dict[str, Param]:
    """Return some parameters that are told as they stand: «тип крепления — ласточкин хвост»."""
    chosen = rng.sample(_odd(), rng.choice((0, 1, 2, 2, 3, 4)))
    return {f"odd: {one.labels[0]}": one for one in chosen}


@cache
def _odd() -> list[Param]:
    return [
        Param(
            labels=(one["label"],),
            values=tuple(one["values"]),
            share=_ODD_SHARE,
            clauses=(f"{one['label'][0].lower()}{one['label'][1:]} — {{value}}",),
        )
        for one in _bank()["odd"]
    ]


@cache
def head_of(name: str) -> tuple[str, bool]:
    """Return a name's noun and whether it is plural; the last word if none is known."""
    words = name.split()
    for word in words:
        for plural in (False, True):
            if noun(word, plural=plural) and not (word.endswith(("ый", "ий", "ая", "ое", "ые", "ие"))):
                return word, plural
    return words[-1], words[-1].endswith(("ы", "и"))


def make_pattern(rng: random.Random) -> Listing:
    """Return a listing whose title has a fixed form, with the first sentences that fit it."""
    pattern = rng.choices(_bank()["pattern"], [one.get("weight", 1) for one in _bank()["pattern"]])[0]
    drawn: dict[str, str] = {}
    for key, values in pattern["draw"].items():
        drawn[key] = str(rng.choice(values)) if isinstance(values, list) else _number(values, drawn, rng)
    deal = rng.choice(pattern["deals"])
    entry = pattern["deal"][deal]
    title = rng.choice(entry.get("title", pattern.get("title", [])))
    low, high = entry["price"]
    told = high > 0 and rng.random() < 0.9
    price = int(round(low * (high / low) ** rng.random(), 2 - len(str(low)))) if told else None
    facts = [_fact(one, drawn) for one in entry.get("params", []) if rng.random() < 0.85]
    if needed := entry.get("needed"):
        facts.insert(0, _fact(["", needed], drawn))
    filled = begun(_fill(title, drawn))
    return Listing(
        title=filled,
        category=rng.choice(pattern["section"]) if rng.random() < 0.9 else "",
        params=tuple((fact.label, fact.shown) for fact in facts),
        price=price,
        deal=deal,
        facts=tuple(fact for fact in facts if fact.param and fact.param.clauses),
        said=filled,
        plans=tuple(begun(_fill(plan, drawn)) for plan in entry["told"]),
    )


def _fact(words: Sequence[str], drawn: Mapping[str, str]) -> Fact:
    """Make a fact of label, value and the clauses that tell it; one without clauses is told by the plan."""
    label, value, *clauses = (_fill(word, drawn) for word in words)
    if label and not clauses:
        clauses = [f"{label[0].lower()}{label[1:]} — {value}"]
    param = Param(labels=(label or "Вид",), values=(value,), clauses=tuple(clauses))
    return Fact(key=label or value, value=value, shown=begun(value), param=param, label=label, in_card=True)


def begun(text: str) -> str:
    """Return the text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def _number(words: Mapping[str, Any], drawn: Mapping[str, str], rng: random.Random) -> str:
    """Draw from low to high by step; either end may be the name of an earlier number."""
    low, high = (int(drawn[end]) if isinstance(end, str) else end for end in (words["low"], words["high"]))
    steps = int((high - low) / words.get("step", 1))
    number = low + words.get("step", 1) * rng.randint(0, max(steps, 0))
    return f"{number:.1f}".removesuffix(".0") if isinstance(number, float) else str(number)


def _fill(text: str, drawn: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: drawn[match[1]], text)
