"""Telephones, e-mails, cards and documents of nobody, as people write them; nothing of the rules is used.

planted_persons.tsv: the spellings of fixed places: kind, style, what stands before, the number
(# is a digit) and what stands after. The rest is made here and in planted_mobiles.
"""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench import planted_mobiles as mobiles

SHARES = {"phone": 0.55, "email": 0.15, "card": 0.1, "passport": 0.08, "inn": 0.06, "snils": 0.06}
STYLES = (*["usual"] * 4, *["odd", "letters", "words", "shapes", "city", "short", "abroad", "glued"])
CALLS = (
    "тел. |тел |Тел: |телефон |звоните |Звоните по номеру |т. |моб. |Писать в WhatsApp |вайбер "
    "|📞|☎ |мой номер |сот. "
)
AFTER = ("", "", "", " Иван", ", после 18", " (Ольга)", " звоните", "!")
BINS = (
    "2200",
    "2202",
    "2204",
    "4276",
    "4377",
    "4817",
    "5469",
    "5336",
    "5213",
    "4100",
    "5536",
    "6762",
    "2221",
)


@dataclass(frozen=True)
class Case:
    """A text to plant: `before` and `after` lead to the `core` that must be found, of this kind and style."""

    kind: str
    style: str
    before: str
    core: str
    after: str = ""


def digits(rng: random.Random, count: int) -> str:
    """Return random digits."""
    return "".join(rng.choices(string.digits, k=count))


def luhn_digit(body: str) -> str:
    """Return the digit that makes the body pass Luhn's test."""
    doubled = [int(char) * (2 - place % 2) for place, char in enumerate(reversed(body))]
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def made(rng: random.Random, kind: str) -> Case:
    """Return a case of a kind."""
    return _MAKERS[kind](rng)


@cache
def _spellings() -> dict[tuple[str, str], list[list[str]]]:
    found = defaultdict(list)
    for line in Path(__file__).with_suffix(".tsv").read_text(encoding="utf-8").splitlines():
        kind, style, *rest = line.split("\t")
        found[kind, style].append(rest)
    return dict(found)


def _spelled(rng: random.Random, kind: str, style: str) -> Case:
    before, core, after = rng.choice(_spellings()[kind, style])
    return Case(kind, style, before, re.sub("#", lambda _: digits(rng, 1), core), after)


def _phone(rng: random.Random) -> Case:
    style = rng.choice(STYLES)
    if style == "glued":
        core = mobiles.usual(rng).lstrip("+(")
        return Case(
            "phone", style, rng.choice(("звоните", "тел.", "т")), core.strip(), rng.choice(("Иван", "срочно"))
        )
    before = rng.choice(CALLS.split("|")) if rng.random() < 0.5 else ""
    if style in mobiles.STYLES:
        case = Case("phone", style, before, mobiles.STYLES[style](rng), rng.choice(AFTER))
    else:
        spelled = _spelled(rng, "phone", style)
        case = Case("phone", style, spelled.before or before, spelled.core, rng.choice(AFTER))
    if style in ("usual", "city") and rng.random() < 0.1:
        extension = rng.choice((" доб. 12", ", доб.345", " (доб. 101)", " вн. 7"))
        return Case("phone", style, case.before, case.core + extension, case.after)
    return case


def _email(rng: random.Random) -> Case:
    return _spelled(rng, "email", rng.choice(("plain", "plain", "plain", "disguised", "cyrillic")))


def _passport(rng: random.Random) -> Case:
    return _spelled(rng, "passport", "labelled")


def _card(rng: random.Random) -> Case:
    body = rng.choice(BINS) + digits(rng, 11)
    body += luhn_digit(body)
    cut = rng.choice((16, 8, 4, 4, 4))
    groups = [body[place : place + cut] for place in range(0, 16, cut)]
    core = rng.choice((" ", "-", ".", "\u00a0", " - ")).join(groups)
    before = rng.choice(("карта ", "Сбербанк ", "на карту ", "", "", "номер карты: ", "перевод на "))
    return Case("card", f"cut by {cut}", before, core, rng.choice(("", " Иван И.", ".", ", срок 12/26")))


def _inn(rng: random.Random) -> Case:
    last = [2, 4, 10, 3, 5, 9, 4, 6, 8]
    rows = rng.choice(([last], [[7, *last], [3, 7, *last]]))
    body = f"{rng.randint(1, 89):02}" + digits(rng, len(rows[0]) - 2)
    for row in rows:
        body += str(sum(weight * int(char) for weight, char in zip(row, body, strict=True)) % 11 % 10)
    core = (
        body if rng.random() < 0.85 else " ".join(body[place : place + 4] for place in range(0, len(body), 4))
    )
    before = rng.choice(("ИНН ", "ИНН: ", "инн", "ИНН № ", "ИП Иванов И.И., ИНН ", "ИНН - "))
    return Case("inn", str(len(body)), before, core, rng.choice(("", ", ОГРН", ".")))


def _snils(rng: random.Random) -> Case:
    body = f"{rng.randint(2, 199):03}" + digits(rng, 6)
    check = sum(int(char) * weight for char, weight in zip(body, range(9, 0, -1), strict=True)) % 101 % 100
    parts = [body[:3], body[3:6], body[6:]]
    core = rng.choice(("-".join(parts) + " ", "", " ".join(parts) + " ", "-".join(parts) + "-")) or body
    named = core == body or rng.random() < 0.6
    before = rng.choice(("СНИЛС ", "снилс: ", "СНИЛС № ")) if named else ""
    return Case("snils", "named" if named else "cut", before, f"{core}{check:02}")


_MAKERS: dict[str, Callable[[random.Random], Case]] = {
    "phone": _phone,
    "email": _email,
    "card": _card,
    "passport": _passport,
    "inn": _inn,
    "snils": _snils,
}
