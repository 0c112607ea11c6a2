"""Russian forms that are safe to print: what cannot be inflected for sure is None."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import pymorphy3

_RUSSIAN: Final = re.compile(r"[А-Яа-яЁё]+(?:-[А-Яа-яЁё]+)*")
_WORD: Final = re.compile(r"[^\W\d_]+")
_ADJECTIVE: Final = frozenset({"ADJF", "PRTF"})
ADJECTIVE: Final = re.compile(r"\w+(?:[ыи][йе]|[ая]я|[ое]е|ой)\b")  # by its ending, in the nominative
_JOINED: Final = re.compile(r",| и | или |/")
_SURE: Final = 3.0  # times likelier than the next reading that gives another form
_SHORT_UNITS: Final = frozenset(
    {"год", "лет", "час", "день"}
)  # other words of three letters are abbreviations
_NAMES: Final = frozenset({"Name", "Surn", "Patr", "Geox", "Orgn", "Trad", "Abbr", "Init"})
_ENDS: Final = {"ка": "femn", "ик": "masc"}
_DIMINUTIVE: Final = re.compile(r"[а-яё]{3,}(ка|ик)")  # «дрелька», «мангальчик»: no dictionary has them all
_CACHED: Final = 2**17


@dataclass(frozen=True, slots=True)
class Noun:
    """A head noun that adjectives agree with; gender is "" for a plural."""

    word: str
    gender: str
    animate: bool

    def grammemes(self, case: str) -> frozenset[str]:
        """Return what an adjective beside the noun has to be in this case."""
        found = {case, self.gender or "plur"} | ({"sing"} if self.gender else set())
        if case == "accs" and self.gender in {"masc", ""}:
            found.add("anim" if self.animate else "inan")
        return frozenset(found)


@cache
def analyzer() -> Any:
    """Return the one dictionary of this process."""
    return pymorphy3.MorphAnalyzer()


@lru_cache(maxsize=_CACHED)
def _readings(word: str) -> tuple[Any, ...]:
    """Return the readings in the nominative, likeliest first; none for what is not one Russian word."""
    if not _RUSSIAN.fullmatch(word):
        return ()
    return tuple(one for one in analyzer().parse(word.lower()) if one.tag.case == "nomn")


def _nouns(word: str) -> list[Any]:
    nouns = [one for one in _readings(word) if one.tag.POS == "NOUN"]
    known = [one for one in nouns if one.is_known]
    if not known and (pet := _DIMINUTIVE.fullmatch(word)):
        return [one for one in nouns if one.tag.gender == _ENDS[pet[1]] and "inan" in one.tag][:1]
    return [one for one in known if _NAMES.isdisjoint(one.tag.grammemes)] or known


@lru_cache(maxsize=_CACHED)
def noun(word: str, *, plural: bool) -> Noun | None:
    """Return the noun of a head word in the nominative; None if its gender is not known for sure."""
    found = [one.tag for one in _nouns(word) if (one.tag.number == "plur") == plural]
    kinds = {("" if plural else tag.gender, tag.animacy) for tag in found}
    if not found or (len({gender for gender, _ in kinds}) > 1) or not (plural or found[0].gender):
        return None
    return Noun(word, "" if plural else str(found[0].gender), found[0].animacy == "anim")


@lru_cache(maxsize=_CACHED)
def agree(adjective: str, head: Noun, case: str = "nomn") -> str | None:
    """Return an adjective (masculine, nominative) as it stands beside the noun, each word of several."""
    words = [_agreed(word, head, case) for word in adjective.split()]
    return None if not words or None in words else " ".join(word for word in words if word)


def _agreed(word: str, head: Noun, case: str) -> str | None:
    for reading in _readings(word):
        if reading.tag.POS in _ADJECTIVE and (reading.is_known or word.endswith(("ый", "ий"))):
            return _cased(word, reading, head.grammemes(case))
    return None


def _cased(word: str, reading: Any, grammemes: frozenset[str]) -> str | None:
    """Inflect with the capitals of the word."""
    found = reading.inflect(grammemes)
    if found is None:
        return None
    form = str(found.word)
    if word.isupper() and len(word) > 1:
        return word if form == word.lower() else None
    return form[0].upper() + form[1:] if word[0].isupper() else form


@lru_cache(maxsize=_CACHED)
def inflect(phrase: str, case: str, *, head: str = "", plural: bool | None = None) -> str | None:
    """Return a nominative noun phrase in a case: adjectives and noun together, what follows untouched.

    `head` names the noun, else it is the first; a phrase of one adjective is inflected too («отличное»).
    """
    if case == "nomn":
        return phrase
    words = phrase.split()
    at = words.index(head) if head in words else _head_at(words)
    if at is None:
        return _lone(phrase, case)
    tail = words[at + 1 :]
    if _JOINED.search(phrase) or any(word in {"и", "или"} for word in tail):
        return None
    beside = noun(words[at], plural=_is_plural(words[at]) if plural is None else plural)
    changed = _head_form(words[at], case, beside)
    if beside is None or changed is None:
        return None
    behind = _trailing(tail, beside)
    around = [
        _like(word, beside, case) if index < at or index <= at + behind else word
        for index, word in enumerate(words)
    ]
    around[at] = changed
    return None if None in around else " ".join(word for word in around if word)


def _head_at(words: list[str]) -> int | None:
    for index, word in enumerate(words):
        readings = _readings(word)
        if readings and readings[0].tag.POS in _ADJECTIVE:
            continue
        return index if _nouns(word) else None
    return None


def _lone(word: str, case: str) -> str | None:
    readings = [one for one in _readings(word) if one.tag.POS in _ADJECTIVE and one.is_known]
    if not readings:
        return None
    kind = readings[0].tag
    beside = Noun(word, "" if kind.number == "plur" else str(kind.gender), False)
    return _cased(word, readings[0], beside.grammemes(case))


def _is_plural(word: str) -> bool:
    nouns = _nouns(word)
    return bool(nouns) and nouns[0].tag.number == "plur"


def _head_form(word: str, case: str, beside: Noun | None) -> str | None:
    """Decline the head; None where two words of one spelling decline differently and neither is likelier."""
    if beside is None:
        return None
    number = "sing" if beside.gender else "plur"
    weights: dict[str, float] = {}
    for reading in _nouns(word):
        if reading.tag.number == number and (form := _cased(word, reading, frozenset({case, number}))):
            weights[form] = weights.get(form, 0.0) + reading.score
    ranked = sorted(weights, key=weights.__getitem__, reverse=True)
    if not ranked or (len(ranked) > 1 and weights[ranked[0]] < _SURE * weights[ranked[1]]):
        return None
    return ranked[0]


def _like(word: str, head: Noun, case: str) -> str | None:
    """Return an adjective that agrees with the head now in the case where it will agree then."""
    now = head.grammemes("nomn")
    for reading in _readings(word):
        if reading.tag.POS in _ADJECTIVE and now <= set(reading.tag.grammemes):
            return _cased(word, reading, head.grammemes(case))
    return None


def _trailing(tail: list[str], head: Noun) -> int:
    """Count the adjectives behind the noun: «велосипед горный», but none in «ковёр ручной работы»."""
    for index, word in enumerate(tail):
        if _like(word, head, "nomn") is None:
            following = analyzer().parse(word.lower())[0].tag.POS if _RUSSIAN.fullmatch(word) else "LATN"
            return index if following in {"PREP", "LATN"} else 0
    return len(tail)


@lru_cache(maxsize=_CACHED)
def turned(name: str, *, head: str, plural: bool) -> str:
    """Return «горный велосипед» for «велосипед горный»; a name of another build as it is."""
    words = name.split()
    beside = noun(head, plural=plural)
    if beside is None or words[0] != head:
        return name
    behind = _trailing(words[1:], beside)
    return " ".join([*words[1 : 1 + behind], head, *words[1 + behind :]])


@lru_cache(maxsize=_CACHED)
def count(number: str, unit: str) -> str:
    """Return a number with its unit: «2 года», «5 лет», «1,5 года», «40 см»."""
    if not unit or not _RUSSIAN.fullmatch(unit) or (len(unit) < 4 and unit not in _SHORT_UNITS):
        return f"{number} {unit}".strip()
    word = "год" if unit in {"лет", "года"} else unit
    readings = [one for one in analyzer().parse(word) if one.tag.POS == "NOUN" and one.is_known]
    if not readings:
        return f"{number} {unit}"
    if not number.isdigit():
        form = readings[0].inflect({"gent", "sing"})
    else:
        form = readings[0].make_agree_with_number(int(number))
    told = str(form.word) if form else unit
    return f"{number} {'лет' if told == 'годов' else told}"


@lru_cache(maxsize=_CACHED)
def common(word: str) -> bool:
    """Tell a common word («Футболки») from a name («Россия», «США») and from what the dictionary lacks."""
    if not _RUSSIAN.fullmatch(word) or word[:2].isupper():
        return False
    best = analyzer().parse(word.lower())[0]
    return bool(best.is_known) and _NAMES.isdisjoint(best.tag.grammemes)


@lru_cache(maxsize=_CACHED)
def lemma(word: str) -> str:
    """Return the dictionary form of a word, with е for ё, in lower case; a foreign word is its own."""
    lower = word.lower()
    if not _RUSSIAN.fullmatch(lower):
        return lower
    return str(analyzer().parse(lower)[0].normal_form).replace("ё", "е")


def lemmas(text: str) -> set[str]:
    """Return the dictionary forms of all words of a text."""
    return {lemma(word) for word in _WORD.findall(text)}
