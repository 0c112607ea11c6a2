"""Goods of a shelf put up for sale under a given name, and what sellers add to a title or a card."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from training.made.catalogue import Brands, Category, Thing, load
from training.made.goods import head_of
from training.made.listing import Listing
from training.made.making import make_listing
from training.made.spelling import Name, Typed, bank, find_typed

Sold = tuple[Category, Thing]
_TRIES: Final = 40  # a card is drawn again until its title has the name; three of four do at once


@dataclass(frozen=True, slots=True)
class Ad:
    """A listing and what it names; `told` is what the seller adds to it.

    `hidden`: only the description has the name; `bare`: there is no description but `told`.
    """

    listing: Listing
    brand: str | None = None
    models: tuple[str, ...] = ()
    told: str = ""
    hidden: bool = False
    bare: bool = False


@dataclass(frozen=True, eq=False)
class Shelf:
    """The goods of one catalogue."""

    categories: tuple[Category, ...]

    def draw(self, rng: random.Random, *, models: bool = True, names: Sequence[str] = ()) -> Sold:
        """Return a thing: one of these names, one with factory models, or any that is sold."""
        found, weights = _stock(self, models, tuple(names))
        return rng.choices(found, weights)[0]


@cache
def _stock(shelf: Shelf, models: bool, names: tuple[str, ...]) -> tuple[list[Sold], list[float]]:
    found = [(category, thing) for category in shelf.categories for thing in category.thing]
    if names:
        found = [one for one in found if one[1].name in names]
    elif models:
        found = [one for one in found if any(one[1].models.values())]
    return found, [thing.weight for _, thing in found]


@cache
def shelf_of(folder: Path) -> Shelf:
    """Return the goods of a catalogue's folder."""
    return Shelf(load(folder))


def sell(
    sold: Sold, *, name: Name, rng: random.Random, maker: Name | None = None
) -> tuple[Listing, Typed] | None:
    """Return a listing of a thing by this name, typed in its title; `maker` has the spelling of the form.

    None where no title shows that the name is one.
    """
    category, thing = sold
    models = {name.brand: (name.model,) if name.model else ()} if name.text else {}
    thing = thing.model_copy(update={"models": models})
    category = category.model_copy(update={"brands": Brands(), "series": None})
    formal = {name.brand: maker.brand, name.model: maker.model} if maker and rng.random() < 0.7 else {}
    for _ in range(_TRIES):
        listing = make_listing(thing, category=category, rng=rng)
        found = (
            find_typed(name, listing.title)
            if (listing.brand, listing.model) == (name.brand, name.model)
            else None
        )
        if found:
            params = tuple((label, formal.get(value) or value) for label, value in listing.params)
            return replace(listing, params=params), found
    return None


def inserted(listing: Listing, text: str, *, at: int) -> Listing:
    """Return the listing with more words in its title, typed in the title's own case."""
    title = listing.title
    text = text.lower() if title.islower() else text.upper() if title.isupper() else text
    return replace(listing, title=f"{title[:at]} {text}{title[at:]}")


def tailed(listing: Listing, rng: random.Random) -> Listing:
    """Return the listing with what sellers add behind: «торг», «обмен на айфон 11»."""
    title = listing.title.rstrip(".,")
    tail = ("" if rng.random() < 0.5 else ", ") + str(rng.choice(bank()["tails"]))
    shown = replace(listing, title=title + ("," if tail.startswith(", ") else ""))
    return inserted(shown, tail.removeprefix(", "), at=len(shown.title))


def labelled(listing: Listing, name: Name, rng: random.Random) -> Listing:
    """Return the listing with brand and model among its parameters."""
    told = [
        (rng.choice(bank()["labels"][key]), getattr(name, key))
        for key in ("brand", "model")
        if getattr(name, key)
    ]
    at = rng.choice((0, len(listing.params)))
    return replace(listing, params=(*listing.params[:at], *told, *listing.params[at:]))


def simple(
    name: str, *, shelf: Shelf, section: Sequence[str], params: Sequence[str] = ("colour", "condition")
) -> Sold:
    """Return a thing that no catalogue has."""
    head, plural = head_of(name)
    common = shelf.categories[0].param
    thing = Thing(name=name, head=head, plural=plural, price=(300, 9000), params=tuple(params))
    category = Category.model_construct(section=tuple(section), deal="sale", thing=(thing,), param=common)
    return category, thing
