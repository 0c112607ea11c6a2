"""The packaged word lists: numerals, units and claims, compiled once from `lexicon.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from importlib import resources
from typing import Any

_ADJECTIVE = (
    "(?:ый|ий|ой|ая|яя|ое|ее|ые|ие|ого|его|ому|ему|ым|им|ом|ем|ую|юю|ых|их|ыми|ими|ей|ою|ья|ье|ьи|а|о|ы|и|)"
)
_NOUN = "(?:а|я|о|е|ы|и|у|ю|ь|й|ья|ом|ем|ой|ей|ью|ою|ею|ам|ям|ами|ями|ах|ях|ов|ев|ия|ии|ию|ие|ием|ий|)"
_FLEETING = re.compile(r"(?<=[^аеиоуыэюя])(?:ек|ок|ец)$")  # «подарок», «подарка»: the vowel goes


@cache
def read(name: str) -> dict[str, Any]:
    """Read a packaged TOML file."""
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def pattern(entry: str) -> str:
    """Return the regular expression of one word of the list; the notation is told in `lexicon.toml`."""
    if entry.startswith("="):
        return re.escape(entry[1:])
    if entry.endswith("*"):
        return re.escape(entry[:-1]) + ".*"
    if entry.endswith(("ый", "ий", "ой")) and len(entry) > 4:
        return re.escape(entry[:-2]) + _ADJECTIVE
    if _FLEETING.search(entry) and len(entry) > 4:
        return f"(?:{re.escape(entry)}|{re.escape(entry[:-2] + entry[-1])}){_NOUN}"
    return re.escape(entry.rstrip("аяоеыиуюьй")) + _NOUN if len(entry) > 3 else re.escape(entry) + _NOUN


class Terms:
    """Entries that name a meaning; the cost of one word is a look-up by two letters, then cached."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._by_prefix: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for entry in entries:
            rule = (re.compile(pattern(entry)), entry)
            self._by_prefix.setdefault(entry.lstrip("=")[:2], []).append(rule)
        self.entries_of = lru_cache(maxsize=2**15)(self._entries_of)

    def _entries_of(self, word: str) -> tuple[str, ...]:
        """Return every entry that a lower-case word is a form of, the longest first."""
        rules = self._by_prefix.get(word[:2], ())
        found = [entry for rule, entry in rules if rule.fullmatch(word)]
        return tuple(sorted(found, key=lambda entry: (not entry.startswith("="), -len(entry))))


@cache
def numerals() -> tuple[Terms, Mapping[str, Decimal]]:
    """Return the numeral words and the value of each entry."""
    values = {entry: Decimal(value) for value, entries in read("lexicon.toml")["numerals"].items()
              for entry in entries}  # fmt: skip
    return Terms(values), values


@cache
def units() -> Mapping[str, frozenset[str]]:
    """Return spelling (`*` kept) -> the units it may stand for."""
    table: dict[str, frozenset[str]] = {}
    for name, spellings in read("lexicon.toml")["units"].items():
        for spelling in spellings:
            table[spelling] = table.get(spelling, frozenset()) | {name}
    return table


@cache
def claims() -> tuple[Terms, Mapping[str, str], Mapping[tuple[str, ...], str]]:
    """Return the claim words, entry -> set for single words and parts -> set for phrases."""
    single: dict[str, str] = {}
    phrases: dict[tuple[str, ...], str] = {}
    for group, sets in read("lexicon.toml")["claims"].items():
        for name, entries in sets.items():
            for entry in entries:
                if " " in entry:
                    phrases[tuple(entry.split())] = f"{group}.{name}"
                else:
                    single[entry] = f"{group}.{name}"
    return Terms({*single, *(part for phrase in phrases for part in phrase)}), single, phrases
