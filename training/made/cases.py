"""Cases and agreement of the phrases in our own banks, by pymorphy3; the tests try every phrase."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from training.made.grammar import analyzer

_ADJECTIVE: Final = frozenset({"ADJF", "PRTF"})
_AGREES: Final = frozenset({"ADJF", "PRTF", "ADJS", "PRTS", "VERB"})
_SLOT: Final = re.compile(r"\{(?:name|thing|x)(?::(\w+))?\}")
_AGREEING: Final = re.compile(r"\[([^\]]+)\]")
_CACHED: Final = 2**15  # forms: a bank has some 300 phrases in 6 cases and 500 words that agree


@lru_cache(maxsize=_CACHED)
def in_case(phrase: str, case: str) -> str:
    """Return a nominative noun phrase in a case (pymorphy's name); what follows the noun stays as it is.

    Raises ValueError for a phrase without a noun in the nominative.
    """
    words = phrase.split(" ")
    at, noun = _head(phrase)
    kinds = {case, *_kinds(noun)}
    words[at] = _form(noun, {case}, of=phrase)
    if case == "accs" and not kinds & {"femn", "neut"}:
        kinds.add(str(noun.tag.animacy))  # «внешний вид», but «опытного мастера»
    words[:at] = [_form(_adjective(word), kinds, of=phrase) for word in words[:at]]
    return " ".join(words)


@lru_cache(maxsize=_CACHED)
def agreed(word: str, phrase: str) -> str:
    """Return an adjective, a participle or a verb (masculine) as it agrees with a noun phrase.

    Several words agree each, except those that have no such forms («мог бы»). Raises ValueError.
    """
    if " " in word:
        return " ".join(agreed(part, phrase) for part in word.split(" "))
    beside = _kinds(_head(phrase)[1])
    for reading in analyzer().parse(word):
        tag = reading.tag
        if tag.POS not in _AGREES or tag.number != "sing" or (tag.POS in _ADJECTIVE and tag.case != "nomn"):
            continue
        kinds = {"nomn", *beside} if tag.POS in _ADJECTIVE else set(beside)
        if tag.tense in ("pres", "futr"):  # tells no gender
            kinds = {"3per", "plur"} if "plur" in beside else set()
        if (found := reading.inflect(kinds)) is not None:
            return str(found.word)
    return word


@lru_cache(maxsize=_CACHED)
def _head(phrase: str) -> tuple[int, Any]:
    for at, word in enumerate(phrase.split(" ")):
        readings = analyzer().parse(word)
        if at + 1 < len(phrase.split(" ")) and readings[0].tag.POS in _ADJECTIVE:
            continue
        nouns = [one for one in readings if one.tag.POS == "NOUN" and one.tag.case == "nomn"]
        if nouns:  # «пластик» and «шуруповёрт» are things, whoever else may be called so
            return at, next((one for one in nouns if "inan" in one.tag), nouns[0])
        break
    raise ValueError(f"{phrase!r} has no noun in the nominative")


def _adjective(word: str) -> Any:
    return next(one for one in analyzer().parse(word) if one.tag.POS in _ADJECTIVE)


def _kinds(noun: Any) -> frozenset[str]:
    return frozenset({"plur"} if noun.tag.number == "plur" else {"sing", str(noun.tag.gender)})


def _form(reading: Any, grammemes: set[str], *, of: str) -> str:
    found = reading.inflect(grammemes)
    if found is None:
        raise ValueError(f"{of!r} has no form {sorted(grammemes)}")
    return str(found.word)


def about(frame: str, phrase: str) -> str:
    """Return a frame about a noun phrase: {name}, {thing:gent} … in their cases, [оказался] in agreement."""
    frame = _AGREEING.sub(lambda match: agreed(match[1], phrase), frame)
    return _SLOT.sub(lambda match: in_case(phrase, match[1] or "nomn"), frame)
