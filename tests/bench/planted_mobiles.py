"""Russian mobile numbers in the spellings people use to be read by people only; apart from the rules."""

from __future__ import annotations

import random
from collections.abc import Callable

SEPARATORS = (
    "-",
    " ",
    ".",
    "/",
    "_",
    "*",
    "—",
    "–",
    "\u2011",
    "\u00a0",
    " - ",
    "−",
    "|",
    "~",
    "•",
    "\u200b",
    " – ",
)
SIZES = ((3, 3, 2, 2), (3, 3, 2, 2), (3, 3, 4), (3, 7), (3, 2, 2, 3), (3, 2, 3, 2), (10,), (3, 4, 3))
UNITS = "ноль один два три четыре пять шесть семь восемь девять"
TEENS = "десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать"
TENS = "- - двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто"
HUNDREDS = "- сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот"
LOOKALIKES = {"0": "ОOоo", "3": "Зз", "1": "lI", "6": "б", "4": "Ч"}
SHAPES = ("０１２３４５６７８９", "⓪①②③④⑤⑥⑦⑧⑨", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _ten(rng: random.Random) -> str:
    return "9" + "".join(rng.choices("0123456789", k=9))


def _cut(text: str, sizes: tuple[int, ...]) -> list[str]:
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [text[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def usual(rng: random.Random) -> str:
    """Write a prefix, perhaps brackets, and groups."""
    gap, sizes = rng.choice(SEPARATORS), rng.choice(SIZES)
    ten = _ten(rng)
    prefix = rng.choice(("8", "+7", "7", "8", "+7", "+ 7"))
    groups = _cut(ten, sizes)
    form = rng.randrange(5)
    if form == 0:
        opening, closing = rng.choice(("()", "[]", "()"))
        tail = gap.join(group for group in (groups[0][3:], *groups[1:]) if group)
        return f"{prefix}{rng.choice(('', ' '))}{opening}{ten[:3]}{closing}{rng.choice(('', ' ', gap))}{tail}"
    if form == 1:
        return prefix + gap.join(groups)
    if form == 2:
        return gap.join((prefix, *groups))
    if form == 3 and sizes in ((3, 3, 2, 2), (3, 3, 4), (10,)):
        return rng.choice(("-", " ", "")).join(groups)
    return f"{prefix} {groups[0]} {gap.join(groups[1:])}".strip()


def odd(rng: random.Random) -> str:
    """Cut the number anywhere, or digit by digit."""
    number, parts = rng.choice("87") + _ten(rng), []
    longest = 1 if rng.random() < 0.4 else 4
    while number:
        size = rng.randint(1, longest)
        parts.append(number[:size])
        number = number[size:]
    return rng.choice(("-", " ", ".", " ", "-", "–", "_")).join(parts)


def letters(rng: random.Random) -> str:
    """Write one of the digits as a letter everywhere."""
    ten = _ten(rng)
    if present := sorted(set(ten[1:]) & set(LOOKALIKES)):
        digit = rng.choice(present)
        ten = ten[0] + "".join(rng.choice(LOOKALIKES[digit]) if char == digit else char for char in ten[1:])
    groups = (rng.choice(("8", "+7")), *_cut(ten, (3, 3, 2, 2)))
    return rng.choice(("", "-", " ")).join(groups)


def _said(group: str) -> str:
    """Say up to three digits as people dictate them."""
    if not group:
        return ""
    if group[0] == "0":
        return f"ноль {_said(group[1:])}".strip()
    rest = "" if not group[1:].strip("0") else _said(group[1:].lstrip("0"))
    if len(group) == 3:
        return f"{HUNDREDS.split()[int(group[0])]} {rest}".strip()
    if len(group) == 2 and group[0] == "1":
        return [*TEENS.split(), "девятнадцать"][int(group[1])]
    return f"{TENS.split()[int(group[0])]} {rest}".strip() if len(group) == 2 else UNITS.split()[int(group)]


def words(rng: random.Random) -> str:
    """Dictate the number, whole or in part."""
    ten, share = _ten(rng), rng.choice((1.0, 1.0, 0.5))
    groups = [rng.choice(("8", "8", "+7")), *_cut(ten, (3, 3, 2, 2))]
    if rng.random() < 0.3:
        groups = list("8" + ten)
    said = [
        ("плюс семь" if group == "+7" else _said(group)) if rng.random() < share else group
        for group in groups
    ]
    return (rng.choice((" ", " ", ", ", "-")) if share == 1 else " ").join(said)


def shapes(rng: random.Random) -> str:
    """Write digits of other shapes, keycaps, or pictures between the groups."""
    number = "8" + _ten(rng)
    form = rng.randrange(6)
    if form == 0:
        return "".join(digit + "\ufe0f\u20e3" for digit in number)
    if form == 1:
        return rng.choice(("🔹", "💥", "❤", "➖", "✨")).join(_cut(number, (1, 3, 3, 2, 2)))
    return "".join(SHAPES[form - 2][int(digit)] for digit in number)


STYLES: dict[str, Callable[[random.Random], str]] = {
    "usual": usual,
    "odd": odd,
    "letters": letters,
    "words": words,
    "shapes": shapes,
}
