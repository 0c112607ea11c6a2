"""Listings of goods that have a name: one factory model, two, a series, a model outside of the title."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from training.made.catalogue import Thing
from training.made.invented import make_brand, make_model
from training.made.listing import Listing
from training.made.shelf import Ad, Shelf, inserted, labelled, sell, simple, tailed
from training.made.spelling import Name, Typed, bank, draw_name, find_typed, is_plain, opens, spell

_CLOTHES: Final = "Одежда"
_SIZE: Final = re.compile(r"(?<!\S)(?:\d{2}|\d?x*[sml])(?!\S)", re.IGNORECASE)  # of clothes: «Neo 95»
_CAR: Final = "автомобиль"
_NAMED_LOOK: Final = re.compile(r"[A-Za-z\d«\"]")
_CYRILLIC: Final = re.compile(r"[А-Яа-яЁё]")
_GIGABYTES: Final = re.compile(r"\d\s?(?:гб|gb)", re.IGNORECASE)


def one(shelf: Shelf, rng: random.Random) -> Ad:
    """Return a listing of one factory model."""
    while True:
        category, thing = sold = shelf.draw(rng)
        maker = draw_name(thing, rng)
        if category.section[0].startswith(_CLOTHES) and _SIZE.search(maker.model):
            continue
        name = spell(maker, category=category, rng=rng)
        if not (made := sell(sold, name=name, rng=rng, maker=maker)):
            continue
        listing, typed = made
        if thing.name == _CAR and rng.random() < 0.7:
            listing, typed = _car(listing, name, rng) or made
        elif thing.name in bank()["with_memory"] and rng.random() < 0.3:
            listing = _with_memory(listing, typed, rng)
        if rng.random() < 0.12:
            listing = tailed(listing, rng)
        brand = typed.name.brand
        if not brand and maker.brand and rng.random() < 0.12:
            brand = maker.brand
            listing = labelled(listing, Name(brand), rng)
        return Ad(listing, brand or None, (typed.name.model,))


def _car(listing: Listing, name: Name, rng: random.Random) -> tuple[Listing, Typed] | None:
    """Type a car as sellers do: «Lada Granta, 2015»."""
    text = name.text.lower() if rng.random() < 0.12 else name.text
    title = f"{text}{rng.choice((', ', ', ', ' ', ' - '))}{rng.randint(1994, 2023)}"
    typed = find_typed(name, title)
    return (replace(listing, title=title), typed) if typed else None


def _with_memory(listing: Listing, typed: Typed, rng: random.Random) -> Listing:
    card = " ".join([listing.title, *(value for _, value in listing.params)])
    if _GIGABYTES.search(card) or not any(map(str.isdigit, typed.name.model)):
        return listing
    return inserted(listing, rng.choice(bank()["memory"]), at=typed.end)


def several(shelf: Shelf, rng: random.Random) -> Ad:
    """Return a listing of two models."""
    while True:
        category, thing = sold = shelf.draw(rng)
        other = (
            thing
            if rng.random() < 0.85
            else rng.choice([t for t in category.thing if any(t.models.values())])
        )
        makers = [draw_name(thing, rng), draw_name(other, rng)]
        if rng.random() < 0.55:
            makers[1] = draw_name(
                thing.model_copy(update={"models": {makers[0].brand: _lines(thing, makers[0])}}), rng
            )
        names = [spell(one, category=category, rng=rng) for one in makers]
        if names[0].brand == names[1].brand and opens(names[1].model) and rng.random() < 0.6:
            names[1] = Name("", names[1].model)
        base = sell(sold, name=Name(), rng=rng)
        if base is None or _same(makers) or _same(names):
            continue
        pair = {"a": names[0].text, "b": names[1].text}
        title = _together(pair, leads=(thing.name, category.section[-1]), rng=rng)
        typed = [find_typed(name, title) for name in names]
        if None in typed:
            continue
        told = str(rng.choice(bank()["told_together"])).format(**pair)
        listing = replace(base[0], title=title, params=base[0].params[:1])
        brands = [name.brand.lower() for name in names if name.brand]
        same = len(set(brands)) == 1 and (len(brands) == 2 or makers[0].brand == makers[1].brand)
        found = [one.name for one in typed if one]
        brand = next(one.brand for one in found if one.brand) if same else None
        return Ad(listing, brand, tuple(one.model for one in found), told, bare=True)


def _together(pair: dict[str, str], *, leads: Sequence[str], rng: random.Random) -> str:
    lead = rng.choice(("", "", "Продам ", "Продаю ", "Куплю ", *(f"{one} " for one in leads)))
    title = lead + str(rng.choice(bank()["together"])).format(**pair)
    return title.lower() if rng.random() < 0.15 else title.upper() if rng.random() < 0.06 else title


def _lines(thing: Thing, maker: Name) -> tuple[str, ...]:
    return thing.models.get(maker.brand) or (maker.model,)


def series(shelf: Shelf, rng: random.Random) -> Ad:
    """Return a listing of goods whose name a small maker or the seller invented."""
    while True:
        if rng.random() < 0.3:
            part = rng.choice(bank()["serial_parts"])
            sold = simple(part.lower(), shelf=shelf, section=("Для дома и дачи", "Мебель и интерьер"))
        else:
            sold = shelf.draw(rng, names=bank()["serial"])
        quotes = rng.choice(("«{}»", "«{}»", '"{}"', '"{}"', "{}", "{}"))
        model = _code(rng) if rng.random() < 0.18 else quotes.format(rng.choice(bank()["series"]))
        brands = [one for one in sold[1].models if not one.isascii()] or [make_brand(rng)]
        brand = rng.choice(brands) if rng.random() < 0.15 else ""
        if made := sell(sold, name=Name(brand, model), rng=rng):
            listing, typed = made
            return Ad(listing, typed.name.brand or None, (typed.name.model,))


def _code(rng: random.Random) -> str:
    while not (is_plain(model := make_model(rng)) and opens(model) and not model[0].isdigit()):
        pass
    return model


def elsewhere(shelf: Shelf, rng: random.Random) -> Ad:
    """Return a listing whose title does not name the model that its card or its description names."""
    while True:
        sold = shelf.draw(rng)
        name = draw_name(sold[1], rng)
        if not (made := sell(sold, name=Name(), rng=rng)):
            continue
        listing = made[0]
        if rng.random() < 0.6:
            return _in_card(listing, name, rng)
        others = [listing.title, *(value for label, value in listing.params)]
        if any(map(_NAMED_LOOK.search, others)) or _CYRILLIC.search(name.text) or not opens(name.model):
            continue
        listing = replace(
            listing, brand=name.brand, brand_typed=name.brand, model=name.model, model_typed=name.model
        )
        return Ad(listing, name.brand, (name.model,), hidden=True)


def _in_card(listing: Listing, name: Name, rng: random.Random) -> Ad:
    chance = rng.random()
    if chance < 0.15:
        return Ad(labelled(listing, Name("", name.text), rng), None, (name.text,))
    shown = Name(name.brand if chance < 0.75 else "", name.model)
    return Ad(labelled(listing, shown, rng), shown.brand or None, (name.model,))


def _same(names: Sequence[Name]) -> bool:
    return names[0].model.lower() == names[1].model.lower()
