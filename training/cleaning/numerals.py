"""The Russian words that dictate a number: what each says, and how neighbours are joined into digits.

Spoken numbers are joined as they are heard: девятьсот шестнадцать is 916, двадцать ноль пять is 2005, сто 23
is 123. A word with room left takes what follows if it fits into the room.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

_WORDS: Final = {
    0: "ноль нуль нолик нол",
    1: "один одна одно единица единичка адин",
    2: "два две двойка двоечка",
    3: "три тройка троечка",
    4: "четыре четверка четверочка четире",
    5: "пять пятерка пятерочка пят",
    6: "шесть шестерка шестерочка шест",
    7: "семь семерка семерочка сем",
    8: "восемь восьмерка восьмерочка восем",
    9: "девять девятка девяточка девят",
    10: "десять десят",
    11: "одиннадцать одинадцать одиннацать",
    12: "двенадцать двенацать",
    13: "тринадцать тринацать",
    14: "четырнадцать четырнацать",
    15: "пятнадцать пятнацать",
    16: "шестнадцать шестнацать",
    17: "семнадцать семнацать",
    18: "восемнадцать восемнацать",
    19: "девятнадцать девятнацать",
    20: "двадцать двацать",
    30: "тридцать трицать",
    40: "сорок",
    50: "пятьдесят пятдесят писят",
    60: "шестьдесят шестдесят шисят",
    70: "семьдесят семдесят",
    80: "восемьдесят восемдесят",
    90: "девяносто девяноста",
    100: "сто",
    200: "двести двесте",
    300: "триста",
    400: "четыреста",
    500: "пятьсот пятсот",
    600: "шестьсот шестсот",
    700: "семьсот семсот",
    800: "восемьсот восемсот",
    900: "девятьсот девятсот",
}
# «два нуля», «три семерки»: the digit as often as the number before it says.
_REPEATED: Final = {
    0: "нуля нулей ноля нолей нолика",
    1: "единицы единички единиц",
    2: "двойки двоек",
    3: "тройки троек",
    4: "четверки четверок",
    5: "пятерки пятерок",
    6: "шестерки шестерок",
    7: "семерки семерок",
    8: "восьмерки восьмерок",
    9: "девятки девяток",
}
VALUES: Final = {word: value for value, words in _WORDS.items() for word in words.split()}
REPEATED: Final = {word: value for value, words in _REPEATED.items() for word in words.split()}
# Said between the digits and skipped.
FILLERS: Final = frozenset(
    [
        "код",
        "тире",
        "дефис",
        "пробел",
        "скобка",
        "скобки",
        "скобку",
        "потом",
        "далее",
        "затем",
        "дальше",
        "и",
        "плюс",
        "точка",
    ]
)


def _any_of(words: list[str]) -> str:
    """Return a pattern of the words, grouped by the first letter so that most positions fail at once."""
    rows = groupby(sorted(words), key=lambda word: word[0])
    return "|".join(f"{letter}(?:{'|'.join(word[1:] for word in row)})" for letter, row in rows)


NUMERAL: Final = re.compile(rf"(?:{_any_of([*VALUES, *REPEATED, 'плюс'])})(?![а-яa-z])")


def room_after(digits: str) -> int:
    """Return below what the next part must be to be joined to this one: 900 leaves 100, 20 leaves 10."""
    value = int(digits)
    if digits[0] == "0" or value >= 1000:
        return 0
    return 100 if value >= 100 and value % 100 == 0 else 10 if value >= 20 and value % 10 == 0 else 0


def joined(said: str, following: str) -> str | None:
    """Return both parts as one number (900 and 16 are 916), or None where they stand apart."""
    if following[0] == "0" or len(following) > 2 or int(following) >= room_after(said):
        return None
    return str(int(said) + int(following))
