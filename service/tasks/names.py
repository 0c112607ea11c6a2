"""How a name looks in a listing: Latin letters, letters with digits, a capital in mid-sentence, quotes.

What is known («айфон», «самсунг») is a name in Cyrillic and lower case too; measures and sizes are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import TypeAlias

from service.letters import fold
from service.product_models import implied_brand, model_key

WORDS_MAX = 7  # of a model's name; «Travis Scott Cactus Jack x Nike Dunk» has seven
BRAND_WORDS_MAX = 3
NUMBER_CHARS_MIN = 3  # of a number that is a model by itself: «Elna 3210», but not the 13 of «iPhone 13»

_WORD = re.compile(r"[^\s«»\"“”„,;:!?()|\[\]{}<>…*=~•·✅❗🔥]+")
_EDGE = " .,'`’‘/\\-–—_"
_BREAK = re.compile(r"[^ \t\u00a0]")  # more than blanks between two words: no name goes over it
_QUOTED = re.compile(r"[«\"“„]([^«»\"“”„\n]{2,60})[»\"“”]")
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_MEASURE = re.compile(
    r"(?:[\d.,/xх×*+-]*\d[\d.,]*)?\s?(?:gb|tb|mb|гб|тб|мб|гиг[а-я]*|g|мм|см|дм|м|м2|кг|гр?|мг|л|мл|k?вт|квт|w|k?ватт|mah|ма[чh]|"
    r"ач|дюйм[а-я]*|д|шт|штук|mp|мп|мпикс|hz|гц|ghz|ггц|v|в|вольт|а|об|руб[а-я.]*|₽|р|rub|тр|т\.р|год[а-я]*|г\.?в?|лет|"
    r"мес[а-я.]*|дн|ч|час[а-я]*|мин|км|ккал|%|°|градус[а-я]*|размер[а-я]*|ядер|скорост[а-я]*|\")\.?",
    re.IGNORECASE,
)
_MEMORY = re.compile(r"\d{1,2}[/+]\d{2,4}")  # «8/256»
_MEMORY_SIZE = re.compile(r"32|64|128|256|512|1024")
_UNIT = re.compile(
    r"gb|tb|mb|гб|тб|мб|гиг[а-я]*|мм|см|кг|мл|вт|квт|w|mah|мач|дюйм[а-я]*|шт|руб[а-я.]*|hz|гц|inch"
)
_NUMBERS = re.compile(r"[\d.,/+xх×*-]+", re.IGNORECASE)
_FITS = re.compile(
    r"(?:^|[\s(])(?:для|под|на|к|ко|вместо|совмест[а-я]*(?:\s+с[о]?)?|подход[а-я]*(?:\s+(?:для|к|под|на))?|аналог[а-я]*|"
    r"типа|(?:об)?мен[а-яю]*\s+на|for|fits)\s+(?:[а-яё]{3,}\s+)?$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_PRINTED = re.compile(r"(?:принт|надпис|логотип|рисун|картин|аппликац)[а-я]*\s*$", re.IGNORECASE)
_STORAGE = re.compile(
    r"\b(?:ssd|hdd|nvme|флешк|флэш|накопител|жестк[а-я]* диск|карт[а-я]* памяти|microsd|micro sd)"
)
_CLOTHES = re.compile(
    r"\b(?:одежд|обув|куртк|футболк|рубаш|брюк|плать|юбк|джинс|перчат|костюм|пуховик|толстовк|шорт|свитер|пальто|"
    r"блуз|кофт|майк|жилет|ботин|сапог|кроссов|туфл|комбинез|шапк|белье)"
)
_SIZED = re.compile(r"р(?:аз|азм|азмер)?\.?\d{2,3}(?:[-/]\d{2,3})?")
_SIZE = re.compile(r"\d{0,2}x{0,4}[sml]|xxs|\d{2}(?:[-/]\d{2,3})?|[34]\dр?")
# Words that tell variants of one model apart: never a name without the words before them.
_VARIANTS = re.compile(
    "pro|max|mini|plus|lite|ultra|air|slim|se|fe|super|ti|petite|tall|curve|maternity|про|макс|мини|плюс|лайт|ультра|эйр|слим"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What kind of goods it is, as far as it decides what a name is."""

    storage: bool  # the capacity is the model: «970 EVO Plus 1TB»
    clothes: bool  # the last letter is a size: «Blaser 119042 L»

    @classmethod
    def of(cls, text: str) -> Kind:
        """Tell it from title and category."""
        lower = fold(text).lower()
        return cls(storage=bool(_STORAGE.search(lower)), clothes=bool(_CLOTHES.search(lower)))


@dataclass(slots=True)  # not frozen: some hundred a listing, and frozen ones take twice the time
class _Word:
    start: int
    end: int
    text: str  # folded, lower case
    naming: bool
    number: bool


Chain: TypeAlias = "list[_Word]"


def names(text: str, kind: Kind, *, strict: bool = False) -> list[Chain]:
    """Return the rows of words in which a name may stand.

    With `strict` a capital alone makes no name: in running text it stands before towns and breeds too.
    """
    return list(_chains(text, _words(_without_prints(text), strict=strict), kind))


def _without_prints(text: str) -> str:
    """Blank out what is only printed on a thing: «с надписью "New York"»."""
    for match in _QUOTED.finditer(text):
        if _PRINTED.search(text[max(0, match.start() - 40) : match.start()]):
            text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return text


def models(text: str, chains: Sequence[Chain]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every piece of the text that may name a model."""
    yield from _quoted(text)
    for chain in chains:
        for first, word in enumerate(chain):
            opens = word.naming or len(word.text) >= NUMBER_CHARS_MIN
            opens = opens and not (first and (is_variant(word.text) or _MEMORY_SIZE.fullmatch(word.text)))
            if not opens or _FITS.search(text[max(0, word.start - 40) : word.start]):
                continue
            for last, following in zip_longest(chain[first : first + WORDS_MAX], chain[first + 1 :]):
                if last is None:
                    break
                piece = text[word.start : last.end]
                if not _goes_on(piece, following) and not is_brand(piece):
                    yield word.start, last.end


def _goes_on(piece: str, following: _Word | None) -> bool:
    """Tell a name that cannot end here: «iPhone 13» before «Pro», «Blaser» before «119018-113»."""
    if following is None:
        return False
    number = _DIGIT.search(following.text) and not _YEAR.fullmatch(following.text)
    return bool(is_variant(following.text) or (number and not _DIGIT.search(piece)))


def brands(text: str, chains: Sequence[Chain]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every piece of the text that may name a brand."""
    for chain in chains:
        for first in range(len(chain)):
            for last in chain[first : first + BRAND_WORDS_MAX]:
                piece = text[chain[first].start : last.end]
                if not last.naming or is_variant(chain[first].text):
                    break
                unknown = implied_brand(piece) is None  # else a family: «iPhone»
                if is_brand(piece) or (unknown and not _DIGIT.search(piece)):
                    yield chain[first].start, last.end


def is_variant(word: str) -> bool:
    """Tell a word that only tells variants of one model, or cuts of one garment, apart."""
    return bool(_VARIANTS.fullmatch(word))


@lru_cache(maxsize=2**15)
def is_brand(text: str) -> bool:
    """Tell a known brand by itself («Apple») from a family of models («iPhone») and from all else."""
    brand = implied_brand(text)
    return brand is not None and model_key(text, brand=brand) in (None, brand)


def _words(text: str, *, strict: bool) -> list[_Word]:
    shouted = sum(map(str.isupper, text)) > 0.5 * sum(map(str.isalpha, text))
    words: list[_Word] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        while start < end and text[start] in _EDGE:
            start += 1
        while end > start and text[end - 1] in _EDGE:
            end -= 1
        if start == end:
            continue
        folded = _folded(text[start:end])
        first = not words or bool(re.search(r"[.!?\n]\s*$", text[max(0, start - 3) : start]))
        capital = text[start].isupper() and not (first or shouted or strict) and len(folded) > 2
        words.append(
            _Word(start, end, folded, _naming(folded, capital=capital), bool(_NUMBERS.fullmatch(folded)))
        )
    return words


@lru_cache(maxsize=2**16)
def _folded(word: str) -> str:
    return fold(word).lower()


@lru_cache(maxsize=2**16)
def _naming(word: str, *, capital: bool) -> bool:
    """Tell whether a word by itself looks like a piece of a name."""
    if _MEASURE.fullmatch(word) or _NUMBERS.fullmatch(word) or not _LETTER.search(word):
        return False
    mixed = bool(_DIGIT.search(word)) and not re.fullmatch(r"\d+-?[а-я]{1,12}", word)
    return bool(_LATIN.search(word)) or mixed or capital or _is_known(word)


@lru_cache(maxsize=2**15)
def _is_known(word: str) -> bool:
    """Tell a brand or a family of models that is known in Cyrillic too."""
    return len(word) > 2 and implied_brand(word) is not None


def _touch(text: str, left: _Word, right: _Word) -> bool:
    """Tell whether nothing but blanks, or one slash («Sewist 521 / SE 518»), stands between two words."""
    between = text[left.end : right.start]
    return not _BREAK.search(between.replace(" / ", " ", 1))


def _chains(text: str, words: Sequence[_Word], kind: Kind) -> Iterator[list[_Word]]:
    """Yield the longest rows of words that can stand in one name: names, and numbers after a name."""
    chain: list[_Word] = []
    for word, following in zip_longest(words, words[1:]):
        measured = _is_measure(word, following, kind)
        if chain and not _touch(text, chain[-1], word):
            yield chain
            chain = []
        goes_on = chain and (word.number or kind.storage or is_variant(word.text))
        if not measured and (word.naming or goes_on):
            chain.append(word)
        elif chain:
            yield chain
            chain = []
    if chain:
        yield chain


def _is_measure(word: _Word, following: _Word | None, kind: Kind) -> bool:
    """Tell a size, a weight, a memory from a piece of a name."""
    if kind.storage:
        return False
    if _SIZED.fullmatch(word.text) or (kind.clothes and _SIZE.fullmatch(word.text)):
        return True
    unit = word.number and following is not None and _UNIT.fullmatch(following.text)  # «128 gb»
    return bool(unit or _MEASURE.fullmatch(word.text) or _MEMORY.fullmatch(word.text))


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    for match in _QUOTED.finditer(text):
        before = text[max(0, match.start() - 40) : match.start()]
        fits = _FITS.search(before) or _PRINTED.search(before)
        if _LETTER.search(match[1]) and len(match[1].split()) <= WORDS_MAX and not fits:
            yield match.span(1)
