"""Forms of Russian words: what the stem of a word does not tell (part of speech, number, case)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import pymorphy3

from service.letters import fold

# Nouns of a title that name nothing one could buy: «Срочная продажа», «Торг».
_NO_THING = frozenset({"продажа", "распродажа", "объявление", "фото", "торг", "цена"})
_WORD = re.compile(r"[^\W\d_]{3,}")
_RUSSIAN = re.compile(r"[а-яё]+")
_RIVALS = frozenset({"VERB", "ADJS", "PRTS"})
_NOUN_SHARE = 0.65  # among rival readings: «мыло» has 0.67, «сели» 0.6
_TELLING = frozenset({"NOUN", "ADJF", "ADJS", "PRTF", "PRTS", "VERB", "INFN", "GRND"})
_NAMES = frozenset({"Name", "Surn", "Patr", "Geox", "Orgn", "Trad", "Abbr", "Init"})


@dataclass(frozen=True, slots=True)
class Form:
    """One word as it stands in a text, in its likeliest reading; `lemma` is folded (no ё)."""

    lemma: str
    noun: bool  # a common noun of the dictionary
    thing: bool  # may name something: a noun, even if «лосины» and «вязка» look like short adjectives too
    animate: bool
    subject: bool  # a noun that may be in the nominative
    genitive: bool
    plural: bool
    tells: bool  # a verb that says what something does or did
    known: bool  # to the dictionary, in this form
    name: bool  # of a person, place or firm
    telling: (
        bool  # a noun, an adjective but no pronoun, a verb, a participle, a word that no dictionary knows
    )


@cache
def _analyzer() -> Any:
    return pymorphy3.MorphAnalyzer()


@lru_cache(maxsize=2**16)  # ~64k words of some 300 bytes; an analysis costs 60 us
def form(word: str) -> Form:
    """Analyse a lower-case word; one that is not Russian has no forms."""
    if not _RUSSIAN.fullmatch(word):  # the analyser raises on some letters of other scripts
        return Form(word, *([False] * 10))
    readings = _analyzer().parse(word)
    best = readings[0]
    noun = best.tag.POS == "NOUN" and best.is_known and _NAMES.isdisjoint(best.tag.grammemes)
    if noun and len(readings) > 1:
        nouns = sum(one.score for one in readings if one.tag.POS == "NOUN")
        others = sum(one.score for one in readings if one.tag.POS in _RIVALS)
        noun = nouns > _NOUN_SHARE * (nouns + others)
    same = [one.tag for one in readings if one.normal_form == best.normal_form]
    cases = {tag.case for tag in same}
    plural = any(tag.number == "plur" and tag.case == "nomn" for tag in same) or best.tag.number == "plur"
    return Form(
        lemma=fold(best.normal_form),
        noun=noun,
        thing=best.tag.POS in ("NOUN", "ADJS") and any(one.tag.POS == "NOUN" for one in readings),
        animate="anim" in best.tag,
        subject=noun and "nomn" in cases,
        genitive=noun and "gent" in cases,
        plural=noun and plural,
        tells=best.tag.POS == "VERB" and best.tag.person in (None, "3per") and best.tag.mood != "impr",
        known=best.is_known,
        name=not _NAMES.isdisjoint(best.tag.grammemes),
        telling=(best.tag.POS in _TELLING and "Apro" not in best.tag) or not best.is_known,
    )


def names_a_thing(text: str) -> bool:
    """Tell «Самокат детский» from «Продам недорого»: has it a noun, or what may be part of a name."""
    words = [form(word) for word in _WORD.findall(text.lower())]
    nouns = any((one.thing or one.name or not one.known) and one.lemma not in _NO_THING for one in words)
    return nouns or bool(re.search(r"[0-9A-Za-z]", text))


def first_noun(text: str) -> str:
    """Return the first common noun of a text, as it stands there in small letters: «чехол» of a case."""
    words = (word for word in _WORD.findall(text.lower()) if form(word).thing)
    return next((word for word in words if form(word).lemma not in _NO_THING), "")


@lru_cache(maxsize=2**12)
def inflected(lemma: str, *, case: Literal["nomn", "accs"], plural: bool = False) -> str:
    """Return a noun in a case, with its ё; what cannot be inflected is returned as it is."""
    for reading in _analyzer().parse(lemma):
        if reading.tag.POS == "NOUN" and fold(reading.normal_form) == fold(lemma):
            number = "plur" if plural or "Pltm" in reading.tag else "sing"
            if found := reading.inflect({case, number}):
                return str(found.word)
    return lemma


@lru_cache(maxsize=2**12)
def agreed(adjective: str, noun: str) -> str:
    """Return an adjective in the nominative, in the gender and number of a noun: «синий», «куртка» → «синяя».

    A noun that no dictionary knows counts as what its ending looks like; what is no adjective stays as it is.
    """
    nouns = [one.tag for one in _analyzer().parse(noun) if one.tag.POS == "NOUN" and one.tag.case == "nomn"]
    plural = bool(nouns) and nouns[0].number == "plur"
    form = {"nomn", "plur"} if plural else {"nomn", "sing", nouns[0].gender or "masc"} if nouns else {"nomn"}
    for reading in _analyzer().parse(adjective):
        same = reading.tag.POS == "ADJF" and fold(reading.normal_form) == fold(adjective)
        if same and (found := reading.inflect(form)):
            return str(found.word)
    return adjective
