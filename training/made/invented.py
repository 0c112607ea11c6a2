"""Brands and models that no maker has: a model that copies them copies names it never saw."""

from __future__ import annotations

import random
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

_CAPITALS: Final = "ABCDEFGHKLMNPRSTVWXZ"
_CYRILLIC_CAPITALS: Final = "АБВГДКЛМНПРСТФХЭ"


@cache
def _bank() -> dict[str, list[str]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def make_brand(rng: random.Random) -> str:
    """Return a made-up brand: «Nordway», «LORITEK», «Велора»."""
    if rng.random() < 0.3:
        return "".join(rng.sample(_bank()["russian"], rng.randint(2, 3))).capitalize()
    name = "".join(rng.sample(_bank()["latin"], rng.randint(1, 2))) + rng.choice(_bank()["ends"])
    name = name if len(name) > 3 else name + rng.choice(_bank()["latin"])
    return name.upper() if rng.random() < 0.15 else name.capitalize()


def make_model(rng: random.Random) -> str:
    """Return a made-up model: «X7», «ТМ-451К», «Sport 200», «KD 4500 Pro», «b5-120SL»."""
    digits = str(rng.choice((rng.randint(2, 99), rng.randint(1, 99) * 10, rng.randint(100, 9999))))
    letters = "".join(rng.choices(_CAPITALS, k=rng.randint(1, 3)))
    match rng.randrange(10):
        case 0:
            return f"{letters}{digits}"
        case 1:
            return f"{letters}-{digits}{rng.choice(('', '', *_CAPITALS))}"
        case 2:
            cyrillic = "".join(rng.choices(_CYRILLIC_CAPITALS, k=2))
            return f"{cyrillic}-{digits}{rng.choice(('', *_CYRILLIC_CAPITALS))}"
        case 3:
            return f"{rng.choice(_bank()['lines'])} {digits}"
        case 4:
            return f"{letters} {digits} {rng.choice(_bank()['lines'])}"
        case 5:
            return (
                f"{letters.lower()}{rng.randint(1, 9)}-{digits}{rng.choice(_CAPITALS)}{rng.choice(_CAPITALS)}"
            )
        case 6:
            return "-".join(str(rng.randint(10, 999999)) for _ in range(rng.randint(2, 3)))
        case 7:
            name = "".join(rng.sample(_bank()["latin"], 2)).capitalize()
            return (
                f"{name} {rng.randint(1, 9)}.{rng.randint(0, 9)} {rng.randint(4, 12)}x{rng.randint(20, 60)}"
            )
        case 8:
            name = "".join(rng.sample(_bank()["latin"], 2)).capitalize()
            return f"{name} {rng.choice(_bank()['lines'])} {rng.randint(1, 30)}"
    return f"{digits}{rng.choice(('', *_CAPITALS))}"
