"""Read the numbers of a text, in digits and in Russian words, with the unit each one carries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, lru_cache

from service import lexicon

_TOKEN = re.compile(
    r"""(?P<area>(?<![а-яa-z])[сдк]?[мm][23](?!\d))
      | (?P<grouped>(?<![\d.,])[1-9]\d{0,2}(?:\ \d{3})+(?!\d|[.,]\d))
      | (?P<digits>\d+(?:[.,]\d+)*)
      | (?P<word>[а-я]+)""",
    re.VERBOSE,
)
_MULTIPLIER = re.compile(
    r"\s?(?:(?P<k>т\.?\s?р|тыс(?:яч[а-я]*)?)|(?P<m>млн|миллион[а-я]*)|(?P<g>млрд|миллиард[а-я]*))(?![а-я])\.?"
)
_FACTORS = {"k": 10**3, "m": 10**6, "g": 10**9}
_DATE = re.compile(r"\d{1,2}\.\d{1,2}\.(?:\d{4}|\d\d)")
# «2-х комнатная», «5-ти летний», «на 9-м этаже»
_ENDING = r"(?:-?\s?(?:ти|ми|го|х|й|я|е|ый|ая)(?=[\s-])|-м(?=\s[а-я]))?"
_BARE = frozenset({"size"})  # «46 размер» says no more than «46»
_RANGE = re.compile(r"\s*(?:[-/*xх+]|до|на|и|или)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number: all the `values` it may be read as, and its `parts` if those count by themselves too."""

    start: int
    end: int
    values: frozenset[str]
    parts: tuple[str, ...] = ()
    unit: frozenset[str] | None = None
    glued: bool = False  # a part of a code such as «G950F»
    spoken: bool = False


def value_of(word: str) -> Decimal | None:
    """Return the number a lower-case word says, or None."""
    terms, values = lexicon.numerals()
    entries = terms.entries_of(word)
    return values[entries[0]] if entries else None


def compose(values: Sequence[Decimal]) -> Iterator[tuple[int, int, Decimal]]:
    """Join consecutive numerals as they are spoken: 20, 5 is 25, while 8, 9, 2 stay apart.

    Yields (first, end, value) over the indices of `values`.
    """
    first, total, current = 0, Decimal(0), Decimal(0)
    room = Decimal(0)  # what follows must be smaller to belong to the same number
    for index, value in enumerate(values):
        if value >= 1000 and 0 < current < 1000:
            total, current, room = total + current * value, Decimal(0), Decimal(1000)
            continue
        if index > first and not 0 < value < room:
            yield first, index, total + current
            first, total, current = index, Decimal(0), Decimal(0)
        current += value
        room = Decimal(next((step for at, step in ((1000, 1000), (100, 100), (20, 10)) if value >= at), 0))
    if values:
        yield first, len(values), total + current


def numbers(text: str) -> list[Number]:
    """Return the numbers of a folded lower-case text in order."""
    found: list[Number] = []
    words: list[re.Match[str]] = []
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        numeral = bool(match["word"]) and value_of(match[0]) is not None
        if words and (not numeral or text[words[-1].end() : match.start()].strip(" -")):
            found += _spoken(text, words)
            words = []
        if numeral:
            words.append(match)
        elif match["grouped"] or match["digits"]:
            found.append(_written(text, match))
            position = found[-1].end
    return _share_units(text, found + _spoken(text, words))


def _written(text: str, match: re.Match[str]) -> Number:
    """Return the number written at the match, its multiplier and unit included."""
    end = match.end()
    values, parts = _readings(match[0], grouped=bool(match["grouped"]))
    if multiplier := _MULTIPLIER.match(text, end):
        factor = _FACTORS[multiplier.lastgroup or "k"]
        values, parts, end = frozenset(_times(value, factor) for value in values), (), multiplier.end()
    unit, after = _unit_at(text, end)
    neighbours = text[max(0, match.start() - 1) : match.start()] + text[after : after + 1]
    glued = unit is None and any("a" <= char <= "z" for char in neighbours)
    return Number(start=match.start(), end=after, values=values, parts=parts, unit=unit, glued=glued)


def _spoken(text: str, words: Sequence[re.Match[str]]) -> list[Number]:
    """Return the numbers that consecutive numeral words say."""
    values = [value for word in words if (value := value_of(word[0])) is not None]
    found = []
    for first, end, value in compose(values):
        unit, after = _unit_at(text, words[end - 1].end())
        plain = frozenset({_plain(value)})
        start = words[first].start()
        found.append(Number(start=start, end=after, values=plain, unit=unit, spoken=True))
    return found


def _readings(token: str, *, grouped: bool) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return what a written number may be read as, and the parts that count by themselves."""
    if grouped:
        groups = token.split(" ")
        return frozenset({"".join(groups)}), tuple(groups)
    parts = re.split(r"[.,]", token)
    if len(parts) == 1:
        return frozenset({token}), ()
    if len(parts) == 2:
        values = {_plain(Decimal(".".join(parts)))}
        if len(parts[1]) == 3 and len(parts[0]) <= 3 and parts[0][0] != "0":  # «1.200» is 1.2 or 1200
            values.add("".join(parts))
        return frozenset(values), ()
    if all(len(part) == 3 for part in parts[1:]) and len(parts[0]) <= 3:
        return frozenset({"".join(parts)}), ()
    if _DATE.fullmatch(token):
        return frozenset({token}), tuple(part.lstrip("0") or "0" for part in parts)
    return frozenset({token}), (
        tuple(parts) if "." not in token else ()
    )  # «42,44,46» is a list, «4.4.2» is not


def _plain(value: Decimal) -> str:
    """Return one spelling of the value: 15.60 is 15.6."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _times(value: str, factor: int) -> str:
    return _plain(Decimal(value) * factor) if value.count(".") < 2 else value


@cache
def _unit_pattern() -> re.Pattern[str]:
    """Return the pattern of any unit after a number, the longest spelling first."""
    spellings = []
    for spelling in sorted(lexicon.units(), key=len, reverse=True):
        if spelling.endswith("*"):
            spellings.append(re.escape(spelling[:-1]) + "[а-яa-z]*")
        else:
            spellings.append(re.escape(spelling) + ("(?![а-яa-z0-9])" if spelling[-1].isalnum() else ""))
    return re.compile(rf"{_ENDING}\s?-?\s?({'|'.join(spellings)})")


@lru_cache(maxsize=2**12)
def _unit_named(spelling: str) -> frozenset[str]:
    """Return the units a matched spelling may stand for."""
    table = lexicon.units()
    if spelling in table:
        return table[spelling]
    prefixes = [entry for entry in table if entry.endswith("*") and spelling.startswith(entry[:-1])]
    return table[max(prefixes, key=len)]


def _unit_at(text: str, position: int) -> tuple[frozenset[str] | None, int]:
    """Return the unit that follows a number and the position after both."""
    match = _unit_pattern().match(text, position)
    if match is None:
        return None, position
    unit = _unit_named(match[1])
    return (None if unit == _BARE else unit), match.end()


def _share_units(text: str, found: list[Number]) -> list[Number]:
    """Give the unit of «62-68 см» or «45x32x16 мм» to each number of the row."""
    for index in range(len(found) - 2, -1, -1):
        number, following = found[index], found[index + 1]
        if number.unit is None and following.unit and _RANGE.fullmatch(text, number.end, following.start):
            found[index] = replace(number, unit=following.unit, glued=False)
    return found
