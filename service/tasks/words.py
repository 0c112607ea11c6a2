"""The words of a listing, each told by its look: a piece of a name, a number, a measure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

from service.letters import fold
from service.product_models import implied_brand
from service.tasks.measures import is_code, is_lone_unit, is_measure, is_measured, may_end_a_name

_WORD = re.compile(r"[^\s«»\"“”„,;:!?()|\[\]{}<>…*=~•·✅❗🔥]+")
_EDGE = " .,'`’‘/\\-–—_"
_BREAK = re.compile(r"[^ \t\u00a0]")  # more than blanks between two words: no name goes over it
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_NUMBERS = re.compile(r"[\d.,/+xх×*-]+", re.IGNORECASE)
# Brands that would pass for numbers or measures. «3m» of small Latin letters is one, «3м» are metres.
_NUMBERED = re.compile(r"5\.11|3[MmМ]|1[CС]|7[Uu][Pp]|4(?:moms|MOMS)")
_SHORTENED = re.compile("dr|mr|mrs|st|др")  # a dot behind these ends nothing: «Dr. Martens»
_ABBREVIATION = re.compile("[А-ЯЁ]{2,4}")  # «ТОЗ 34», «ИЖ 27»
_COMMON = re.compile(
    "на|до|от|за|по|бу|не|из|рф|тв|эт|дом|для|или|под|при|все|год|рост|цена|лет|стол|шуба|куб|ток"
)
_TITLE_WORDS = 3  # in a longer one that is all capitals «СТОЛ 120» is likelier than «ТОЗ 34»


@dataclass(slots=True)  # not frozen: some hundred a listing, and frozen ones take twice the time
class Word:
    """A word and what it looks like."""

    start: int
    end: int
    text: str  # folded, lower case
    naming: bool
    number: bool
    ending: bool  # a measure, unless it ends a name

    @property
    def digits(self) -> bool:
        """True if it has a digit."""
        return bool(_DIGIT.search(self.text))


Chain: TypeAlias = "list[Word]"


def read_words(text: str, *, strict: bool) -> list[Word]:
    """Return the words; with `strict` a capital alone makes no name."""
    shouted = sum(map(str.isupper, text)) > 0.5 * sum(map(str.isalpha, text))
    words: list[Word] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        while start < end and text[start] in _EDGE:
            start += 1
        while end > start and text[end - 1] in _EDGE:
            end -= 1
        if start == end or text[start:end] == "&":  # goes between two words of one name, see `touch`
            continue
        folded = _folded(text[start:end])
        first = not words or bool(re.search(r"[.!?\n]\s*$", text[max(0, start - 3) : start]))
        capital = text[start].isupper() and not (first or shouted or strict) and len(folded) > 2
        word = Word(start, end, folded, False, bool(_NUMBERS.fullmatch(folded)), False)
        _look(word, text[start:end], words, capital=capital, shouted=shouted)
        words.append(word)
    _find_abbreviations(text, words, shouted=shouted)
    return words


def touch(text: str, left: Word, right: Word) -> bool:
    """Tell whether nothing but blanks stands between two words.

    Or one slash («Sewist 521 / SE 518»), an ampersand («Black & Decker»), the dot of «Dr. Martens».
    """
    between = text[left.end : right.start]
    if not (left.digits or right.digits):
        between = between.replace(" & ", " ", 1)
    if _SHORTENED.fullmatch(left.text):
        between = between.removeprefix(".")
    return not _BREAK.search(between.replace(" / ", " ", 1))


def is_numbered_brand(written: str) -> bool:
    """Tell a brand that looks like a number: «5.11», «3M»."""
    return bool(_NUMBERED.fullmatch(written))


@lru_cache(maxsize=2**15)
def is_known(word: str) -> bool:
    """Tell a brand or a family of models that is known in Cyrillic too."""
    return len(word) > 2 and implied_brand(word) is not None


def _look(word: Word, written: str, before: list[Word], *, capital: bool, shouted: bool) -> None:
    """Tell what a word looks like, by itself and behind a number."""
    measured = bool(before) and is_lone_unit(word.text) and _is_unit_of(before[-1], word.text)
    code = not shouted and is_code(written)
    word.naming = is_numbered_brand(written) or (
        not measured and (code or _naming(word.text, capital=capital))
    )
    word.ending = not word.naming and may_end_a_name(word.text, written, shouted=shouted)


def _is_unit_of(number: Word, unit: str) -> bool:
    """Tell the unit of the word before: «128 gb», «D/1024 mb», but not the G of «f/5.6 G»."""
    if number.number:
        return unit != "v" or is_measured(number.text, unit)
    return len(unit) > 1 and number.text[-1].isdigit()


def _find_abbreviations(text: str, words: list[Word], *, shouted: bool) -> None:
    """Take capitals before a number for a name, in a short title of nothing but capitals too."""
    for word, number in pairwise(words):
        if shouted and len(words) > _TITLE_WORDS:
            return
        follows = number.number and number.end - number.start > 1 and touch(text, word, number)
        if follows and _ABBREVIATION.fullmatch(text[word.start : word.end]):
            word.naming = word.naming or not _COMMON.fullmatch(word.text)


@lru_cache(maxsize=2**16)
def _folded(word: str) -> str:
    return fold(word).lower()


@lru_cache(maxsize=2**16)
def _naming(word: str, *, capital: bool) -> bool:
    """Tell whether a word by itself looks like a piece of a name."""
    if is_measure(word) or _NUMBERS.fullmatch(word) or not _LETTER.search(word):
        return False
    mixed = bool(_DIGIT.search(word)) and not re.fullmatch(r"\d+-?[а-я]{1,12}", word)
    return bool(_LATIN.search(word)) or mixed or capital or is_known(word)
