"""Which facts a seller has, which of them he tells, where, and what he asks for the thing."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from training.made.catalogue import Category, Param, Thing
from training.made.grammar import count, inflect, lemmas
from training.made.listing import Deal, Fact

_STATES: Final[Mapping[str, tuple[float, float]]] = {  # part of the price range, low to high
    "новое": (0.55, 1.0),
    "идеальное": (0.4, 0.9),
    "отличное": (0.35, 0.85),
    "хорошее": (0.2, 0.7),
    "б/у": (0.05, 0.65),
}
_USED: Final = (0.0, 0.6)
_CAR: Final = 150_000  # roubles: what costs more loses its price by the year
_KIT_LABELS: Final = ("Комплектация", "Комплект", "В комплекте", "Что в комплекте")
_DEFECT_LABELS: Final = ("Дефекты", "Недостатки", "Изъяны", "Дефект")
_NOT_WANTED: Final = frozenset(
    """condition warranty reason kind_of_seller exchange delivery worn used_time cleaned used_pump mileage
    mileage_moto documents owners condition_car instruction assembled disassembly""".split()  # noqa: SIM905
)
_OF_USE: Final = frozenset(["worn", "used_time", "used_pump", "cleaned", "pushed", "mileage", "work_hours"])
_SIZES: Final = frozenset({"clothes_size", "shoe_size", "children_height"})
_NEVER_BARE: Final = frozenset({"warranty", "exchange", "delivery", "kind_of_seller", "reason"})
_BARE_STATES: Final = frozenset({"новое", "б/у"})  # «отличное» alone may be anything
_BARE_SHARE: Final = 0.3  # of other values with letters that stand without a label in the old form
_MESSENGER: Final = re.compile(
    r"скайп|skype|в[ао][тц]+сап|whatsapp|viber|вайбер|телеграм|telegram", re.IGNORECASE
)
_TELLING: Final = re.compile(r"\d\s?(?:[ГТМ][Бб]|мАч|Вт|Гц|дюйм|\"|шт|×\s?\d)")  # «3 года» may be anything


def choose_facts(thing: Thing, *, category: Category, deal: Deal, rng: random.Random) -> list[Fact]:
    """Return the facts that this seller knows of the thing, in the order of the form."""
    eager = rng.choice((0.5, 0.8, 1.0, 1.3, 1.8))
    words = lemmas(thing.name)
    facts: list[Fact] = []
    asked: set[str] = set()  # a form asks each question once
    for key in thing.params:
        param = category.param[key]
        if deal == "wanted" and (key in _NOT_WANTED or rng.random() < 0.5):
            continue
        if param.labels[0] not in asked and rng.random() < param.share * eager:
            asked.add(param.labels[0])
            facts.append(_fact(key, param, words, rng))
    state = next((fact.value for fact in facts if fact.key == "condition"), "")
    if state == "новое":
        facts = [fact for fact in facts if fact.key not in _OF_USE]
    if deal in {"sale", "free", "rent"}:
        if thing.kit and rng.random() < 0.2:
            facts.append(_several("kit", rng.sample(thing.kit, min(len(thing.kit), rng.randint(1, 3)))))
        if thing.defects and state not in {"новое", "идеальное"} and rng.random() < 0.13:
            facts.append(
                _several("defects", rng.sample(thing.defects, min(len(thing.defects), rng.choice((1, 1, 2)))))
            )
    return facts


def _fact(key: str, param: Param, words: set[str], rng: random.Random) -> Fact:
    """Draw a value; one that stands in the thing's name already is the only true one."""
    if param.range:
        low, high, step = param.range
        number = low + step * rng.randint(0, int((high - low) / step + 1e-9))
        value = count(f"{number:.2f}".rstrip("0").rstrip(".").replace(".", ","), param.unit)
        return Fact(key=key, value=value, shown=value, param=param)
    own = [i for i, value in enumerate(param.values) if param.kind and lemmas(value) <= words]
    drawn = [
        at for at, value in enumerate(param.values) if not _MESSENGER.search(value)
    ]  # a contact is no fact
    at = own[0] if own else rng.choice(drawn)
    value = param.values[at]
    shown = param.form[at] if param.form and rng.random() < 0.75 else value
    if shown[0].islower() and rng.random() < 0.5:
        shown = shown[0].upper() + shown[1:]
    return Fact(key=key, value=value, shown=shown, param=param)


def _several(key: str, parts: list[str]) -> Fact:
    joined = ", ".join(parts)
    return Fact(key=key, value=joined, shown=joined, several=tuple(parts))


def place_facts(facts: list[Fact], *, labelled: bool, card: bool, rng: random.Random) -> list[Fact]:
    """Say of each fact where it stands; facts that end up nowhere are left out.

    `card`: the seller fills parameters in at all; `labelled`: they have labels, else bare values.
    """
    placed: list[Fact] = []
    room = rng.choice((0, 0, 1, 1, 2, 3))
    for fact in sorted(facts, key=lambda _: rng.random()):
        filled = card and (labelled or _bare(fact, rng))
        shelf = fact.param is not None and fact.param.path
        titled = room > 0 and not shelf and rng.random() < (0.35 if filled else 0.8)
        room -= titled
        label = _label(fact, rng, used={one.label.lower() for one in placed}) if filled and labelled else ""
        if filled or titled:
            placed.append(replace(fact, label=label, in_card=filled, in_title=titled))
    order = {fact.key: at for at, fact in enumerate(facts)}
    return sorted(placed, key=lambda fact: order[fact.key]) if rng.random() < 0.7 else placed


def speaks(fact: Fact) -> bool:
    """Tell whether the value is enough without its label: «синий», «256 ГБ», not «есть»."""
    if fact.several or fact.key in _NEVER_BARE:
        return False
    if fact.key == "condition":
        return fact.value in _BARE_STATES
    if fact.param is not None and (fact.param.path or (fact.param.kind and not lemmas(fact.shown))):
        return fact.param.path  # «1» is not «однокомнатная»
    if fact.key in _SIZES or (fact.param is not None and fact.param.kind):
        return True
    if not lemmas(fact.value) <= lemmas(fact.shown):
        return False
    if any(map(str.isdigit, fact.value)):
        return _TELLING.search(fact.value) is not None
    return " " in fact.value and inflect(fact.value, "gent") is not None


def _bare(fact: Fact, rng: random.Random) -> bool:
    always = fact.key in _SIZES or (fact.param is not None and bool(fact.param.kind or fact.param.path))
    return speaks(fact) and (always or rng.random() < _BARE_SHARE)


def _label(fact: Fact, rng: random.Random, *, used: set[str]) -> str:
    own = {"kit": _KIT_LABELS, "defects": _DEFECT_LABELS}.get(fact.key)
    known = own or (fact.param.labels if fact.param else ("Описание",))
    labels = [one for one in known if one.lower() not in used] or [known[0]]
    label = labels[0] if rng.random() < 0.6 else rng.choice(labels)
    return label[0].lower() + label[1:] if rng.random() < 0.15 and not label[:2].isupper() else label


def choose_price(thing: Thing, *, facts: list[Fact], deal: Deal, rng: random.Random) -> int | None:
    """Return a round price in roubles that fits the condition; None where none is told."""
    if deal == "free" or rng.random() < (
        0.45 if deal == "wanted" else 0.3 if deal in {"service", "work"} else 0.07
    ):
        return None
    state = next((fact.value for fact in facts if fact.key == "condition"), "")
    low, high = _STATES.get(state, _USED if state else (0.0, 1.0))
    if any(fact.key == "defects" for fact in facts):
        high = low + (high - low) / 2
    bottom, top = math.log(max(thing.price[0], 10)), math.log(max(thing.price[1], 10))
    part = rng.uniform(low, high)
    year = next((fact.value for fact in facts if fact.key == "year"), "")
    if year.isdigit():  # an old one is cheap, a car most of all
        weight = 0.75 if thing.price[1] > _CAR else 0.4
        part += weight * (min(1.0, max(0.0, (int(year) - 2000) / 24)) - part)
    price = math.exp(bottom + (top - bottom) * part)
    return _rounded(price, rng)


def _rounded(price: float, rng: random.Random) -> int:
    size = 10 ** max(0, int(math.log10(price)) - 1)
    step = rng.choice((size, size, 5 * size, size / 2 if size > 1 else 1))
    whole = max(1, round(price / step)) * step
    if whole > 300 and rng.random() < 0.08:
        whole = whole - 10 if whole < 10000 else whole - 100
    return max(10, int(whole))
