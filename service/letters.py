"""One spelling for letters and digits: what looks the same to a reader becomes the same characters.

Every text check reads `fold`ed text, so that a full-width digit, a zero-width joiner or a Latin letter
inside a Cyrillic word can neither hide a contact nor make a grounded word look invented.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import snowballstemmer

_STEMMER = snowballstemmer.stemmer("russian")
_LATIN_TWINS = "aceopxykmhtbACEOPXYKMHTB"
_CYRILLIC_TWINS = "асеорхукмнтвАСЕОРХУКМНТВ"
_TO_CYRILLIC = str.maketrans(_LATIN_TWINS, _CYRILLIC_TWINS)
_TO_LATIN = str.maketrans(_CYRILLIC_TWINS, _LATIN_TWINS)
_LATIN_ALONE = re.compile(f"(?![{_LATIN_TWINS}])[a-z]", re.IGNORECASE)
_CYRILLIC_ALONE = re.compile(f"(?![{_CYRILLIC_TWINS}])[а-я]", re.IGNORECASE)
_MIXED = re.compile(r"[a-zA-Z][а-яА-Я]|[а-яА-Я][a-zA-Z]")
_LETTERS = re.compile(r"[a-zA-Zа-яА-Я]+")
_FLEETING = re.compile(r"(?<=[а-я]{2}[бвгджзклмнпрстфхцчшщ])[ео]([кц])$")
_LAST_E = re.compile(r"(?<=[а-я]{3})е$")
_UNUSUAL = re.compile(r"[^\n -~а-яА-Я«»₽]")
# NFKC would turn these into Latin letters ("No", "TM") that nobody wrote.
_SIGNS = str.maketrans({"№": " ", "™": " ", "®": " ", "©": " ", "℠": " "})
_SPELLING = {"ё": "е", "Ё": "Е", "“": '"', "”": '"', "„": '"', "″": '"', "−": "-", "⁄": "/", "×": "x"}


class _Spelling(dict[int, str | None]):
    """A translate table that works each character out once, when it is first met."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        category = unicodedata.category(char)
        digit = unicodedata.digit(char, None)
        result: str | None = _SPELLING.get(char, char)
        if char in "\n\t":
            result = char
        elif digit is not None:
            result = str(digit)
        elif category in {"Cc", "Cf", "Mn", "Me"}:  # controls, joiners, stress marks, keycaps
            result = None
        elif category == "Pd":
            result = "-"
        elif category == "Zs":
            result = " "
        self[code] = result
        return result


_TABLE = _Spelling()


def fold(text: str) -> str:
    """Return the text in one spelling, its case kept.

    NFKC, е for ё, plain dashes, spaces and digits; a word of two alphabets in the one it can be read in.
    """
    text = text.replace("ё", "е").replace("—", "-").replace("–", "-")
    if _UNUSUAL.search(text):  # else all below changes nothing, and costs more than most checks
        text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_TABLE)
    return _LETTERS.sub(_one_alphabet, text) if _MIXED.search(text) else text


def _one_alphabet(match: re.Match[str]) -> str:
    """Rewrite «WhatsApр» or «вoтсап» in the alphabet that has all its letters; leave «SMSки» alone."""
    word = match[0]
    if not _MIXED.search(word):
        return word
    latin, cyrillic = _LATIN_ALONE.search(word), _CYRILLIC_ALONE.search(word)
    if latin and cyrillic:
        return word
    return word.translate(_TO_LATIN if latin else _TO_CYRILLIC)


def skeleton(word: str) -> str:
    """Return the lower-case word with Latin twins read as Cyrillic: «XL», «ХL» and «хl» are one."""
    return word.lower().translate(_TO_CYRILLIC)


@lru_cache(maxsize=2**15)  # ~32k words: some megabytes, and a stem costs 25 us
def stem(word: str) -> str:
    """Return the Snowball stem of a lower-case Russian word, less a fleeting vowel: «девочек», «девочки».

    And less the «е» that it leaves of «батарея», but takes of «батарею».
    """
    return _FLEETING.sub(r"\1", _LAST_E.sub("", str(_STEMMER.stemWord(word))))
