"""What sells most, as it is titled: «iPhone 11 128gb белый» without a maker, clothes by their brand."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import Final

from training.made.catalogue import Category, Thing
from training.made.grammar import agree, noun
from training.made.invented import make_brand
from training.made.shelf import Ad, Shelf, sell, tailed
from training.made.spelling import Name, bank, find_typed, is_brand, is_plain, opens, reshaped, spell

_UNSAID: Final = 0.75  # of the makers whose lines everybody knows
_RESHAPED: Final = 0.15
_BRANDED: Final = 0.8  # of garments
_TITLE_MAX: Final = 100  # characters


def popular(shelf: Shelf, rng: random.Random) -> Ad:
    """Return one of the goods that a marketplace has most of, by its line's name more often than not."""
    while True:
        group = rng.choices(bank()["popular"], [one["weight"] for one in bank()["popular"]])[0]
        sold = category, thing = shelf.draw(rng, names=group["of"])
        brand = rng.choice(group["brands"])
        model = rng.choice(thing.models[brand])
        maker = Name(brand, reshaped(model, rng) if rng.random() < _RESHAPED else model)
        if not is_plain(maker.model):
            continue
        name = _cased(spell(maker, category=category, rng=rng), rng)
        if brand in bank()["unsaid"] and _is_line(name.model) and rng.random() < _UNSAID:
            name = Name("", name.model)
        if not (made := sell(sold, name=name, rng=rng, maker=maker)):
            continue
        listing = replace(made[0], title=_title(name, thing, rng))
        if rng.random() < 0.3:
            listing = tailed(listing, rng)
        if typed := find_typed(name, listing.title):
            return Ad(listing, typed.name.brand or None, (typed.name.model,))


def _is_line(model: str) -> bool:
    """Tell «iPhone 11» and «Mi 9», which name a maker's goods alone, from «Y7»."""
    return opens(model) and model.split(" ")[0].isalpha() and len(model.split(" ")[0]) > 1


def _cased(name: Name, rng: random.Random) -> Name:
    """Write «iPhone xr» or «Iphone 11», as many do."""
    first, *others = name.model.split(" ")
    chance = rng.random()
    if chance < 0.2:
        return Name(name.brand, " ".join([first, *map(str.lower, others)]))
    if chance < 0.3:
        return Name(name.brand, " ".join([first.capitalize(), *others]))
    return name


def _title(name: Name, thing: Thing, rng: random.Random) -> str:
    words = [name.text]
    if rng.random() < 0.45:
        calls = [thing.head.capitalize(), thing.name.capitalize(), *map(str.capitalize, thing.aliases)]
        words.insert(0, rng.choice(["Продам", "Продаю", *calls, *calls]))
    if thing.name in bank()["with_memory"] and rng.random() < 0.55:
        words.append(rng.choice(bank()["memory"]))
    if rng.random() < 0.35:
        words.append(rng.choice(("{}", "{}", "{}", "({})")).format(rng.choice(bank()["shades"])))
    return " ".join(words)


def worded(shelf: Shelf, rng: random.Random) -> Ad:
    """Return a garment as shops title it: many words about it, then its brand, or none."""
    while True:
        category, thing = sold = rng.choice(_garments(shelf))
        head = noun(thing.head, plural=thing.plural)
        if not head:
            continue
        adjectives = rng.sample(bank()["garment_adjectives"], rng.choice((0, 1, 1, 2)))
        agreed = [form for one in adjectives if (form := agree(one, head))]
        details = rng.sample(bank()["garment_details"], rng.choice((0, 1, 1, 2)))
        title = " ".join([*agreed, thing.head, *_and(details, rng)])
        title = title[0].upper() + title[1:]
        brand = _garment_brand(thing, rng) if rng.random() < _BRANDED else ""
        made = sell((category, thing.model_copy(update={"models": {}})), name=Name(), rng=rng)
        if not made or not (is_brand(brand) or not brand):
            continue
        whole = f"{title} {brand}".strip()
        if brand and rng.random() < 0.15:
            whole += f" {rng.choice(bank()['cuts'])}"
        listing = replace(made[0], title=whole, category=_shelf_name(sold, rng))
        typed = find_typed(Name(brand), whole) if brand else None
        if len(whole) <= _TITLE_MAX and bool(brand) == bool(typed):
            return Ad(listing, typed.name.brand if typed else None)


def _and(details: list[str], rng: random.Random) -> list[str]:
    """Join two details: «с капюшоном и карманами» reads as well as «с капюшоном с принтом»."""
    if len(details) == 2 and all(one.startswith("с ") for one in details) and rng.random() < 0.7:
        return [details[0], "и", details[1].removeprefix("с ")]
    return details


def _garment_brand(thing: Thing, rng: random.Random) -> str:
    brand = rng.choice([*thing.models]) if rng.random() < 0.5 else make_brand(rng)
    if rng.random() < 0.35:
        brand = f"{brand} {rng.choice(bank()['houses'])}"
    return brand.upper() if rng.random() < 0.25 else brand


def _shelf_name(sold: tuple[Category, Thing], rng: random.Random) -> str:
    category, thing = sold
    return rng.choice((thing.head.capitalize(), rng.choice(category.section), ""))


@cache
def _garments(shelf: Shelf) -> list[tuple[Category, Thing]]:
    return [
        (category, thing)
        for category in shelf.categories
        if category.section[0].startswith("Одежда")
        for thing in category.thing
        if any(key.startswith(("fabric", "sleeve")) for key in thing.params)
        if thing.models and not any(thing.models.values())
    ]
