"""How sellers spell brand and model, what names that no maker has look like, where a title has them."""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from training.made.catalogue import Category, Thing
from training.made.invented import make_brand, make_model
from training.made.sellers import mistype

_INVENTED_SHARE: Final = 0.22  # of names with a brand that nobody has
_RESHAPED_SHARE: Final = 0.25  # with a real brand and a code that it never used
_BY_EAR_SHARE: Final = 0.2
_UNSAID_SHARE: Final = 0.5  # of makers whose lines are typed alone
_CAPITALS: Final = "ABCDEFGHKLMNPRSTVWXZ"
_ALIKE: Final = str.maketrans("ABCEHKMOPTX", "АВСЕНКМОРТХ")
_CODE: Final = re.compile(r"(?=\S*\d)[^\s/]{4,}")
_STRANGE: Final = re.compile(  # a mark that no name goes over, a short Russian word, what reads as a measure
    r"[^\w\s+./'&-]|\. |(?<!\w)[А-ЯЁ]{1,2}(?!\w)|(?<!\S)\d*(?:[GWV]|[АВГДЛМРЧ])(?!\S)"
    r"|(?<!\S)\d{1,2}[/+]\d{2,4}(?!\S)|(?<!\S)\d+-?[А-ЯЁ]+(?!\S)",
    re.IGNORECASE,
)
_MORE: Final = re.compile(r"\s+(?:/\s)?\d")  # right behind «Pilot» the 26 reads as a part of it
_FITTING: Final = re.compile(r"(?:^|\s)(?:для|под|на|к)\s+(?:[а-яё]{3,}\s+)?$", re.IGNORECASE)
_LATIN_OR_DIGIT: Final = re.compile(r"[A-Za-z\d]")
_NUMBER: Final = re.compile(r"[\d.,/+xх×*-]+")
_MEMORY_SIZE: Final = re.compile(r"32|64|128|256|512|1024")
_SHORT_NUMBER: Final = 2  # digits: such a number names a model only behind its brand


@cache
def bank() -> dict[str, Any]:
    """Return what naming.toml holds."""
    return tomllib.loads(Path(__file__).with_name("naming.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Name:
    """A brand and a model, either may be ""."""

    brand: str = ""
    model: str = ""

    @property
    def text(self) -> str:
        """Return both, as they stand in a title."""
        return f"{self.brand} {self.model}".strip()


@dataclass(frozen=True, slots=True)
class Typed:
    """A name as a title has it, and where it ends."""

    name: Name
    end: int


def draw_name(thing: Thing, rng: random.Random) -> Name:
    """Return a factory model of the thing, or one of the same shape that no maker has."""
    lines = {brand: models for brand, models in thing.models.items() if models}
    while True:
        brand = rng.choice([*lines])
        model, chance = rng.choice(lines[brand]), rng.random()
        if chance < _INVENTED_SHARE:
            brand, model = make_brand(rng), _invented(model, rng)
        elif chance < _INVENTED_SHARE + _RESHAPED_SHARE:
            model = reshaped(model, rng)
        if is_brand(brand) and is_plain(model):
            return Name(brand, model)


def is_brand(text: str) -> bool:
    """Tell a brand that the service offers as one."""
    return is_plain(text) and not any(map(str.isdigit, text)) and text not in bank()["unoffered"]


def is_plain(text: str) -> bool:
    """Tell a name that stands in a title as one piece, whatever is around it."""
    return not _STRANGE.search(text)


def _invented(model: str, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.45:
        return make_model(rng)
    if chance < 0.65 and (other := reshaped(model, rng)) != model:
        return other
    words = [make_brand(rng)]
    words += [str(rng.choice((rng.randint(1, 30), rng.randint(1, 99) * 10)))] * (rng.random() < 0.7)
    return " ".join([*words, *rng.sample(bank()["lines"], rng.choice((0, 0, 1, 1, 2)))])


def reshaped(model: str, rng: random.Random) -> str:
    """Return the model with other digits and letters in its codes: «WW70J52E04W» as «XB41R90K37T»."""
    return _CODE.sub(lambda match: _coded(match[0], rng), model)


def _coded(code: str, rng: random.Random) -> str:
    letters = [rng.choice(_CAPITALS) if char in _CAPITALS else char for char in code]
    return "".join(str(rng.randint(1, 9)) if char in "123456789" else char for char in letters)


def spell(name: Name, *, category: Category, rng: random.Random) -> Name:
    """Return the name as one seller types it."""
    brand, model = name.brand, name.model
    if rng.random() < _BY_EAR_SHARE:
        brand, model = _by_ear(name, category, rng)
    chance = rng.random()
    if chance < 0.05:
        model = re.sub(r"(?<=[A-Za-zа-я]{2}) (?=\d)", "", model, count=1)
    elif chance < 0.08:
        model = re.sub(r"(?<=[A-Za-z]{2})(?=\d{2})", " ", model, count=1)
    elif chance < 0.13:
        model = re.sub(r"(?<=\w)-(?=\d)", rng.choice(("", " ")), model, count=1)
    elif chance < 0.16:
        model = _CODE.sub(lambda match: match[0].translate(_ALIKE), model, count=1)
    elif chance < 0.19 and brand.isascii() and rng.random() < 0.6:
        brand = mistype(brand, rng)
    elif chance < 0.3:
        brand, model = brand.lower(), model.lower()
    if brand and opens(model) and not model[0].isdigit() and rng.random() < _unsaid(name):
        brand = ""
    return Name(brand, model)


def _unsaid(name: Name) -> float:
    line = name.model.split()[0]
    return _UNSAID_SHARE if name.brand in bank()["unsaid"] and line.isalpha() and len(line) > 2 else 0.05


def _by_ear(name: Name, category: Category, rng: random.Random) -> tuple[str, str]:
    brand, model = name.brand, name.model
    for latin, forms in category.brands.spoken.items():
        told, pattern = rng.choice(forms), rf"(?<!\w){re.escape(latin)}(?!\w)"
        brand, model = re.sub(pattern, told, brand), re.sub(pattern, told, model)
    if model != name.model and rng.random() < 0.6:
        model = " ".join(bank()["variants"].get(word, word) for word in model.split(" "))
    return brand, model


def opens(model: str) -> bool:
    """Tell whether a model is a name without its brand: «iPhone 13», «7524», not the 3 of «Mazda 3»."""
    first = model.split(" ")[0]
    variants = {form.lower() for pair in bank()["variants"].items() for form in pair} | {"se", "ti", "super"}
    if first.lower() in variants or not first:
        return False
    return not _NUMBER.fullmatch(first) or (len(first) > _SHORT_NUMBER and not _MEMORY_SIZE.fullmatch(first))


def find_typed(name: Name, title: str) -> Typed | None:
    """Return the name in the title's own letters; None where it is not there or reads like plain words."""
    if not name.text:
        return Typed(name, len(title))
    start = title.lower().find(name.text.lower())
    end = start + len(name.text)
    apart = start == 0 or title[start - 1] == " "  # not «Кирпич.Axri»
    if start < 0 or not apart or title[end : end + 1].isalnum():
        return None
    middle = start + len(name.brand)
    brand, model = title[start:middle], title[middle:end].strip()
    if model and not brand and (not opens(model) or _FITTING.search(title[:start])):
        return None
    if model and _MORE.match(title[end:]) and not any(map(str.isdigit, name.text)):
        return None
    if not (_is_seen(brand, title, at=start) and (_is_seen(model, title, at=end - len(model)))):
        return None
    if model and brand and not opens(model):
        return Typed(Name(brand, title[start:end]), end)
    return Typed(Name(brand, model.strip('«»"')), end)


def _is_seen(text: str, title: str, *, at: int) -> bool:
    """Tell a name from words: by quotes, Latin letters, digits, a capital in mid-title, or fame."""
    if text[:1] in {"«", '"'}:
        return True
    shouted = sum(map(str.isupper, title)) > 0.5 * sum(map(str.isalpha, title))
    capitals = at > 0 and not shouted and title[:at].rstrip()[-1:] not in {".", "!"}
    return all(
        _LATIN_OR_DIGIT.search(word)
        or word.lower() in _known()
        or (capitals and word[0].isupper() and len(word) > 2)
        for word in text.split()
    )


@cache
def _known() -> frozenset[str]:
    return frozenset(bank()["known"].split())
