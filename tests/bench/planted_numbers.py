"""Numbers that are nobody's, by templates of planted_numbers.tsv; # is a digit. Apart from the rules."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.bench.planted_persons import digits, luhn_digit


def _price(rng: random.Random) -> str:
    value = rng.choice((rng.randint(100, 99_999), rng.randint(100, 9_999) * 1000))
    return f"{value:,}".replace(",", rng.choice((" ", ".", "\u00a0", "")))


def _prices(rng: random.Random) -> str:
    values = [str(rng.randint(5, 400) * 50) for _ in range(rng.randint(3, 6))]
    return rng.choice((" ", ", ", " / ", "; ", "-")).join(values)


def _sizes(rng: random.Random) -> str:
    start, step = rng.choice(((80, 6), (92, 6), (36, 1), (40, 2), (7, 1), (8, 2), (15, 1), (62, 6), (86, 6)))
    values = [str(start + step * place) for place in range(rng.randint(3, 9))]
    return rng.choice((" ", ", ", "-", "/", ".", ",")).join(values)


def _imei(rng: random.Random) -> str:
    body = rng.choice(("35", "86", "01", "99")) + digits(rng, 12)
    return body + luhn_digit(body)


def _ean(rng: random.Random) -> str:
    body = rng.choice(("46", "460", "400", "501", "20", "590", "693", "481"))
    body += digits(rng, 12 - len(body))
    total = sum(int(char) * (3 if place % 2 else 1) for place, char in enumerate(body))
    return body + str(-total % 10)


def _wrong_card(rng: random.Random) -> str:
    body = "4276" + digits(rng, 11)
    whole = body + str((int(luhn_digit(body)) + rng.randint(1, 9)) % 10)
    return rng.choice((whole, " ".join(whole[place : place + 4] for place in range(0, 16, 4))))


SLOTS: dict[str, Callable[[random.Random], str]] = {
    "price": _price,
    "prices": _prices,
    "sizes": _sizes,
    "imei": _imei,
    "ean": _ean,
    "wrong_card": _wrong_card,
    "day": lambda rng: rng.choice((f"{rng.randint(1, 28):02}.{rng.randint(1, 12):02}", "8.9", "7.12")),
    "year": lambda rng: str(rng.randint(1940, 2024)),
    "time": lambda rng: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
    "size": lambda rng: str(rng.randint(5, 2500)),
    "tyre": lambda rng: rng.choice("/- ").join(
        (f"{rng.randrange(155, 316, 10)}", f"{rng.randrange(30, 81, 5)}")
    ),
    "rim": lambda rng: str(rng.randint(13, 22)),
    "hash": lambda rng: "".join(rng.choices("0123456789abcdef", k=rng.choice((8, 32, 40, 64)))),
    "ip": lambda rng: ".".join(str(rng.randint(1, 255)) for _ in range(4)),
    "power": lambda rng: str(2 ** rng.randint(30, 63)),
}


def templates() -> dict[str, list[str]]:
    """Return the templates by sort of number."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in Path(__file__).with_suffix(".tsv").read_text(encoding="utf-8").splitlines():
        sort, template = line.split("\t")
        found[sort].append(template)
    return dict(found)


def number(rng: random.Random, template: str) -> str:
    """Fill a template."""
    filled = re.sub(r"\{(\w+)\}", lambda slot: SLOTS[slot[1]](rng), template)
    return re.sub("#", lambda _: digits(rng, 1), filled)
