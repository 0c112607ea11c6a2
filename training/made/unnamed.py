"""Listings that name no model of their own: clothes of a brand, unnamed goods, services, spare parts."""

from __future__ import annotations

import random
from typing import Any, Final

from training.made.goods import make_pattern
from training.made.invented import make_brand, make_model
from training.made.listing import Listing
from training.made.shelf import Ad, Shelf, inserted, sell, simple, tailed
from training.made.spelling import Name, bank, draw_name, is_brand, is_plain, reshaped, spell

_CUT_SHARE: Final = 0.06  # of brands: «Vero Moda Petite»
_CARS: Final = "Автомобили"
_ALONE: Final = "{}"
_FRAMES: Final = (  # and how often
    ("для {}", 35),
    ("на {}", 32),
    ("к {}", 5),
    ("под {}", 5),
    ("от {}", 5),
    ("для {device} {}", 8),
    (_ALONE, 12),
)
_FITS: Final = ("Подходит для {}.", "Подойдёт на {}.", "Снято с {}.", "Для {}.", "Совместимость: {}.")


def unnamed(shelf: Shelf, rng: random.Random) -> Ad:
    """Return goods of a brand, goods without a name, a service, an animal, a flat."""
    chance = rng.random()
    if chance < 0.55:
        return _branded(shelf, rng)
    if chance < 0.78:
        return Ad(_plain(rng))
    if chance < 0.93:
        made = None
        while made is None:
            made = sell(shelf.draw(rng, models=False), name=Name(), rng=rng)
        return Ad(made[0])
    listing = make_pattern(rng)
    while (
        listing.category == _CARS or "Коробка передач" in dict(listing.params) or listing.title[-4:].isdigit()
    ):
        listing = make_pattern(rng)
    return Ad(listing)


def _branded(shelf: Shelf, rng: random.Random) -> Ad:
    """Return goods whose brand alone is written."""
    while True:
        category, thing = sold = shelf.draw(rng, models=False)
        if not thing.models:
            continue
        garment = not any(thing.models.values())
        brand = make_brand(rng) if rng.random() < 0.35 else rng.choice([*thing.models])
        if not is_brand(brand):
            continue
        maker = Name(brand)
        name = Name(spell(Name(brand, brand), category=category, rng=rng).brand or brand)
        if not (made := sell(sold, name=name, rng=rng, maker=maker)):
            continue
        listing, typed = made
        if garment and rng.random() < _CUT_SHARE:
            listing = inserted(listing, rng.choice(bank()["cuts"]), at=typed.end)
        elif rng.random() < 0.08:
            listing = tailed(listing, rng)
        return Ad(listing, typed.name.brand)


def _plain(rng: random.Random) -> Listing:
    """Return a listing whose Latin words and numbers name nothing."""
    group = rng.choices(bank()["plain"], [len(one["titles"]) for one in bank()["plain"]])[0]
    title = rng.choice(group["titles"]).replace(
        "{n}", str(rng.choice((13, 14, 15, 16, 20, 32, 38, 42, 64, 128)))
    )
    chance = rng.random()
    title = title.lower() if chance < 0.2 else title.upper() if chance < 0.27 else title
    listing = Listing(
        title=title, category=rng.choice(group["section"]), params=(), price=None, deal="sale", said=title
    )
    return tailed(listing, rng) if rng.random() < 0.2 else listing


def accessory(shelf: Shelf, rng: random.Random) -> Ad:
    """Return a part that fits somebody else's model; now and then it has a name of its own."""
    while True:
        group: dict[str, Any] = rng.choice(bank()["accessory"])
        category, thing = shelf.draw(rng, names=group["of"])
        target = draw_name(thing, rng)
        part = rng.choice(group["parts"])
        own = _own(part, group, target, rng)
        params = ("colour",) if rng.random() < 0.4 else ("condition",)
        if not (
            made := sell(
                simple(part, shelf=shelf, section=group["section"], params=params), name=own, rng=rng
            )
        ):
            continue
        listing, typed = made
        fit = _fit(part, spell(target, category=category, rng=rng), group, rng)
        if fit.endswith(own.text) and own.text:
            continue
        if not own.model or rng.random() < 0.4:
            listing = inserted(listing, fit, at=len(listing.title))
        if rng.random() < 0.12:
            listing = tailed(listing, rng)
        told = rng.choice(_FITS).format(target.text) if rng.random() < 0.5 else ""
        models = (typed.name.model,) if own.model else ()
        return Ad(listing, typed.name.brand or None, models, told)


def _own(part: str, group: dict[str, Any], target: Name, rng: random.Random) -> Name:
    """Return the part's own name, if it has any: a maker of parts, or a code."""
    chance = rng.random()
    if chance < 0.62:
        return Name()
    brand = rng.choice((rng.choice(group["makers"]), rng.choice(group["makers"]), make_brand(rng)))
    if chance < 0.8 or part not in bank()["coded"]:
        return Name(brand)
    code = reshaped(rng.choice(("AA-PB9NC6B", "BL-44JN", "EB-BG973ABU", "DC18RC", "LP156WH2", "BN51")), rng)
    model = code if rng.random() < 0.5 else make_model(rng)
    while model[0].isdigit() or not is_plain(model):
        model = make_model(rng)
    return Name(target.brand if rng.random() < 0.4 and target.brand.isascii() else brand, model)


def _fit(part: str, target: Name, group: dict[str, Any], rng: random.Random) -> str:
    """Return «для iPhone 11», «на ВАЗ 2107», «для телефона Samsung»."""
    chance = rng.random()
    frames, weights = zip(*_FRAMES, strict=True)
    frame = str(rng.choices(frames, weights)[0])
    if frame == _ALONE and part in bank()["coded"]:
        frame = _FRAMES[0][0]
    alone = frame != _ALONE and chance < 0.15  # a code right behind a part may be the part's own
    named = target.model if alone else target.brand if chance < 0.3 and target.brand else target.text
    return frame.format(named, device=group["device"])
