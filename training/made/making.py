"""Make listings: a thing of the catalogue or of everyday life, a card, a typed title."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.made.catalogue import CATALOGUE, Category, Thing, load
from training.made.choosing import choose_facts, choose_price, place_facts
from training.made.goods import make_pattern, make_stray
from training.made.grammar import noun
from training.made.invented import make_brand, make_model
from training.made.listing import Deal, Fact, Listing
from training.made.sellers import Title, type_title

STRAY_SHARE = 0.35  # things outside of the catalogue
PATTERN_SHARE = 0.05  # flats, cars, animals …: titles of a fixed form
_INVENTED_SHARE = 0.12
_TOLD_BY_MODEL = frozenset(
    """optics lens reel_size rod_len spin_len boat_len current screen screen_netbook screen_big tent_weight
    seats_tent power_hp disc chipset socket volume_fridge oven_volume_mw""".split()  # noqa: SIM905
)
_DEAR = 3000  # roubles
_BRAND_LABELS = ("Бренд", "Производитель", "Марка", "Фирма")
_DEAL_VALUES: dict[Deal, tuple[str, ...]] = {
    "rent": ("Сдам", "Сдаю"),
    "wanted": ("Куплю",),
    "sale": ("Продам",),
}
_CYRILLIC = re.compile(r"[А-Яа-яЁё]")


def make_listings(number: int, *, name: str, seed: int, folder: Path = CATALOGUE) -> Iterator[Listing]:
    """Yield so many listings, the same ones for the same name, seed and catalogue."""
    rng = random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    categories = load(folder)
    weights = [sum(thing.weight for thing in category.thing) for category in categories]
    for _ in range(number):
        chance = rng.random()
        if chance < PATTERN_SHARE:
            yield make_pattern(rng)
            continue
        if chance < PATTERN_SHARE + STRAY_SHARE:
            category, thing = make_stray(rng, common=categories[0].param)
        else:
            category = rng.choices(categories, weights)[0]
            thing = rng.choices(category.thing, [one.weight for one in category.thing])[0]
        yield make_listing(thing, category=category, rng=rng)


@dataclass(frozen=True, slots=True)
class _Named:
    """What the thing is called, by its maker and by this seller."""

    name: str
    head: str
    plural: bool
    brand: str
    model: str
    spoken: tuple[str, str]


def make_listing(thing: Thing, *, category: Category, rng: random.Random) -> Listing:
    """Return one listing of this thing."""
    deal: Deal = category.deal
    if deal == "sale":
        drawn: Deal = rng.choices(("sale", "wanted", "free"), (0.94, 0.04, 0.02))[0]
        deal = "sale" if drawn == "free" and thing.price[0] > _DEAR else drawn  # nobody gives a flat away
    style = rng.choices(("labelled", "bare", "empty"), (0.6, 0.28, 0.12))[0]
    facts = choose_facts(thing, category=category, deal=deal, rng=rng)
    price = choose_price(thing, facts=facts, deal=deal, rng=rng)
    brand, model, spoken = _owner(thing, category, rng)
    facts = [fact for fact in facts if not _contradicts(fact, model)]
    placed = place_facts(facts, labelled=style == "labelled", card=style != "empty", rng=rng)
    named = _Named(*_called(thing, brand=brand, model=model, rng=rng), brand, model, spoken)
    title = _titled(thing, named, [fact for fact in placed if fact.in_title], deal, rng)
    kept = [
        replace(fact, in_title=fact.in_title and fact.key in title.facts)
        for fact in placed
        if fact.in_card or fact.key in title.facts
    ]
    section = rng.choice(category.section) if rng.random() < 0.4 else category.section[0]
    extra = _path(category, deal=deal, style=style, titled=title.verb, facts=kept, section=section, rng=rng)
    if style == "labelled" and not (_CYRILLIC.search(title.brand) and rng.random() < 0.6):
        extra += _makers(named, rng)
    listing = _listing(thing, named, title, [*extra, *kept])
    return replace(listing, price=price, deal=deal, category=section if rng.random() < 0.88 else "")


def _contradicts(fact: Fact, model: str) -> bool:
    """Tell whether the model says the same with a number of its own: «Aculon 10x50» magnifies ten times."""
    if fact.key == "year":
        return re.search(r"(?<!\d)20\d\d(?!\d)", model) is not None
    return fact.key in _TOLD_BY_MODEL and any(map(str.isdigit, model))


def _titled(thing: Thing, named: _Named, facts: Sequence[Fact], deal: Deal, rng: random.Random) -> Title:
    brand, model = named.spoken
    return type_title(
        named.name,
        head=named.head,
        plural=named.plural,
        brand=brand,
        model=model,
        facts=facts,
        deal=deal,
        rng=rng,
    )


def _listing(thing: Thing, named: _Named, title: Title, facts: Sequence[Fact]) -> Listing:
    """Put the parts together: a fact of the card is a parameter, maker and deal are told by the opening."""
    return Listing(
        title=title.text,
        category="",
        params=tuple((fact.label, fact.shown) for fact in facts if fact.in_card),
        price=None,
        deal="sale",
        thing=thing.name,
        thing_head=thing.head,
        name=named.name,
        head=named.head,
        plural=named.plural,
        facts=tuple(fact for fact in facts if fact.key not in {"deal", "brand", "model"}),
        brand=named.brand,
        model=named.model,
        brand_typed=_copied(title.brand, named.brand, "brand", facts),
        model_typed=_copied(title.model, named.model, "model", facts),
        said=title.said,
    )


def _owner(thing: Thing, category: Category, rng: random.Random) -> tuple[str, str, tuple[str, str]]:
    """Return brand and model as the maker writes them, and both as this seller says them."""
    brand = model = ""
    if thing.models and rng.random() < 0.85:
        brand = rng.choice(list(thing.models))
        lines = thing.models[brand]
        model = rng.choice(lines) if lines and rng.random() < 0.85 else ""
        if rng.random() < _INVENTED_SHARE:
            brand, model = make_brand(rng), make_model(rng) if lines and rng.random() < 0.8 else ""
    elif category.series and rng.random() < 0.3:
        model = rng.choice(category.series.names)
        return "", model, ("", rng.choice((f"«{model}»", f'"{model}"', model)))
    spoken = [brand, model]
    if rng.random() < 0.1:
        for latin, forms in category.brands.spoken.items():
            told = rng.choice(forms)
            spoken = [re.sub(rf"(?<!\w){re.escape(latin)}(?!\w)", told, part) for part in spoken]
    return brand, model, (spoken[0], spoken[1])


def _called(thing: Thing, *, brand: str, model: str, rng: random.Random) -> tuple[str, str, bool]:
    """Return what the seller calls the thing (the name, an alias, the name turned), its head and number."""
    if brand and model and rng.random() < 0.12:
        return "", "", thing.plural
    if thing.aliases and rng.random() < 0.3:
        alias = rng.choice(thing.aliases)
        words = alias.split()
        if thing.head in words:
            return alias, thing.head, thing.plural
        for plural in (thing.plural, not thing.plural):  # «услуги электрика» are «электрик» too
            if head := next((word for word in words if noun(word, plural=plural)), ""):
                return alias, head, plural
        return alias, words[0], thing.plural
    words = thing.name.split()
    at = words.index(thing.head)
    if 0 < at <= 2 and rng.random() < 0.25:
        return " ".join([thing.head, *words[:at], *words[at + 1 :]]), thing.head, thing.plural
    return thing.name, thing.head, thing.plural


def _path(
    category: Category,
    *,
    deal: Deal,
    style: str,
    titled: bool,
    facts: Sequence[Fact],
    section: str,
    rng: random.Random,
) -> list[Fact]:
    """Return what the form's tree of categories leaves in the card; `titled`: the title says the deal."""
    if style == "empty":
        return [] if deal != "rent" or titled else [_bare("deal", "Сдам")]
    found = []
    if (deal == "rent" and not titled) or (deal in {"rent", "wanted"} and rng.random() < 0.3):
        found.append(_bare("deal", rng.choice(_DEAL_VALUES[deal])))
    told = {section.lower(), *(fact.shown.lower() for fact in facts)}
    others = [one for one in category.section if one.lower() not in told and "," not in one]
    if style == "bare" and others and rng.random() < 0.5:
        found.append(_bare("class", rng.choice(others)))
    return found


def _makers(named: _Named, rng: random.Random) -> list[Fact]:
    """Return the parameters for brand and model, where the seller fills them in."""
    found = []
    if named.brand and rng.random() < 0.35:
        label = rng.choice(_BRAND_LABELS)
        found.append(Fact(key="brand", value=named.brand, shown=named.brand, label=label, in_card=True))
    if named.model and named.brand and rng.random() < 0.25:
        found.append(Fact(key="model", value=named.model, shown=named.model, label="Модель", in_card=True))
    return found


def _bare(key: str, value: str) -> Fact:
    return Fact(key=key, value=value, shown=value, in_card=True)


def _copied(typed: str, factory: str, key: str, extra: Sequence[Fact]) -> str:
    """Return the spelling that a description copies: the card's where it has one, else the title's.

    A Russian name gets its capitals back; what is a Latin name's own spelling only its maker knows.
    """
    in_card = any(fact.key == key for fact in extra)
    typed = typed.strip('«»"')
    if key == "brand" and typed[:1].islower() and _CYRILLIC.match(typed):
        typed = typed[0].upper() + typed[1:]
    native = _CYRILLIC.search(factory) and typed.lower() == factory.lower().replace(
        "ё", "е" if "ё" not in typed else "ё"
    )
    return factory if in_card or native else typed
