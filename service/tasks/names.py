"""How a name looks in a listing: Latin letters, letters with digits, a capital in mid-sentence, quotes.

What is known («айфон», «самсунг») is a name in Cyrillic and lower case too; measures and sizes are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest

from service.product_models import implied_brand, model_key
from service.tasks.measures import Kind, is_measure, is_measured, is_size
from service.tasks.words import Chain, Word, is_known, is_numbered_brand, read_words, touch

__all__ = ["BRAND_WORDS_MAX", "Chain", "Kind", "brands", "is_brand", "is_variant", "models", "names"]

WORDS_MAX = 7  # of a model's name; «Travis Scott Cactus Jack x Nike Dunk» has seven
BRAND_WORDS_MAX = 3
NUMBER_CHARS_MIN = 3  # of a number that is a model by itself: «Elna 3210», but not the 13 of «iPhone 13»
DEVICE_NUMBER_CHARS = 6  # of a device's number behind an unknown word; «TRW GDB1234» is the spare part itself
CODE_CHARS_MIN = 6  # of a code that is whole without the «mini» or «slim» behind it, as «U008 Pro» is not
_READ_BACK = 40  # characters

_QUOTED = re.compile(r"[«\"“„]([^«»\"“”„\n]{2,60})[»\"“”]")
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_MEMORY_SIZE = re.compile(r"32|64|128|256|512|1024")
_FITS = re.compile(
    r"(?:^|[\s(])(?:для|под|на|к|ко|вместо|совмест[а-я]*(?:\s+с[о]?)?|подход[а-я]*(?:\s+(?:для|к|под|на))?|аналог[а-я]*|"
    r"типа|(?:об)?мен[а-яю]*\s+на|for|fits)\s+([а-яё]{3,}\s+)?$",
    re.IGNORECASE,
)
_FROM = re.compile(r"(?:^|[\s(])от\s+([а-яё]{3,}\s+)?$", re.IGNORECASE)  # of «Nokia 3310»; by «Zara»
_YEAR = re.compile(r"(?:19|20)\d\d")
_PRINTED = re.compile(r"(?:принт|надпис|логотип|рисун|картин|аппликац)[а-я]*\s*$", re.IGNORECASE)
# Words that tell variants of one model apart: never a name without the words before them.
_VARIANTS = re.compile(
    "pro|max|mini|plus|lite|ultra|air|slim|se|fe|super|ti|petite|tall|curve|maternity|про|макс|мини|плюс|лайт|ультра|эйр|слим"
)
# Behind a known brand these make one more brand, a daughter or a line: «Tommy Jeans».
_COMPANY = re.compile(
    "jeans|originals?|designs?|sports?|home|kids|baby|technolog(?:y|ies)|electronics|tools|professional|collection|group"
)


def names(text: str, kind: Kind, *, strict: bool = False) -> list[Chain]:
    """Return the rows of words in which a name may stand.

    With `strict` a capital alone makes no name: in running text it stands before towns and breeds too.
    """
    return list(_chains(text, read_words(_without_prints(text), strict=strict), kind))


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
        own = _device_words(text, chain)
        for first, word in enumerate(chain[own:], start=own):
            opens = word.naming or (len(word.text) >= NUMBER_CHARS_MIN and not word.ending)
            opens = opens and not (first and (is_variant(word.text) or _MEMORY_SIZE.fullmatch(word.text)))
            if not opens or (first and _stands_for(text, word)):
                continue
            for at, last in enumerate(chain[first : first + WORDS_MAX], start=first):
                piece = text[word.start : last.end]
                empty = at == first and (len(last.text) == 1 or is_variant(last.text))
                if not empty and not _goes_on(piece, chain[at:]) and not is_brand(piece):
                    yield word.start, last.end


def _stands_for(text: str, word: Word) -> bool:
    """Tell a word right behind «для» in a title whose every word has a capital."""
    fits = _FITS.search(text[max(0, word.start - _READ_BACK) : word.start])
    return fits is not None and not fits[1]


def _device_words(text: str, chain: Chain) -> int:
    """Count the words in front that name what the thing is for; behind them its own name may stand.

    Of «для iPhone 7 Nohon» two. Behind a noun only the first: the gun case of «для ружья Maremmano BL405»
    is a Maremmano, the filter of «для пылесоса Karcher WD 3» no Karcher, and nothing tells these two apart.
    """
    before = text[max(0, chain[0].start - _READ_BACK) : chain[0].start]
    fits = _FITS.search(before)
    if fits is None and any(word.digits for word in chain[:3]):
        fits = _FROM.search(before)
    if fits is None:
        return 0
    if fits[1]:
        return 1
    at = 1
    numbered = chain[0].digits
    for word, following in zip_longest(chain[1:], chain[2:]):
        short = following is not None and following.digits and len(following.text) <= DEVICE_NUMBER_CHARS
        if numbered and not (is_variant(word.text) or (word.number and len(word.text) < NUMBER_CHARS_MIN)):
            break
        unknown = not (word.digits or is_variant(word.text) or is_known(word.text))
        if unknown and not short:
            break
        numbered = numbered or word.digits
        at += 1
    return at


def _goes_on(piece: str, rest: Sequence[Word]) -> bool:
    """Tell a name that cannot end here: «iPhone 13» before «Pro», «Blaser» before «119018-113»."""
    if len(rest) == 1:
        return False
    last, following = rest[:2]
    number = following.digits and not following.ending and not _YEAR.fullmatch(following.text)
    if number and not _DIGIT.search(piece):
        return True
    whole = last.digits and len(last.text) >= CODE_CHARS_MIN and bool(_LETTER.search(last.text))
    described = len(rest) > 2 and rest[2].naming and not rest[2].digits  # «DAP-2553 air premier»
    return is_variant(following.text) and not (whole and described)


def brands(text: str, chains: Sequence[Chain]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every piece of the text that may name a brand."""
    for chain in chains:
        for first, opening in enumerate(chain):
            for last in chain[first : first + BRAND_WORDS_MAX]:
                if not last.naming or is_variant(opening.text):
                    break
                piece = text[opening.start : last.end]
                alone = len(piece) > 1 and not _DIGIT.search(piece) and not _is_family(piece, opening, last)
                if alone or is_brand(piece) or (first == 0 and is_numbered_brand(piece)):
                    yield opening.start, last.end


def _is_family(piece: str, opening: Word, last: Word) -> bool:
    """Tell a family of a known brand, «iPhone», from a brand of its own, be it a daughter of a known one."""
    daughter = _COMPANY.fullmatch(last.text) and is_brand(opening.text)
    return implied_brand(piece) is not None and not daughter


def is_variant(word: str) -> bool:
    """Tell a word that only tells variants of one model, or cuts of one garment, apart."""
    return bool(_VARIANTS.fullmatch(word))


@lru_cache(maxsize=2**15)
def is_brand(text: str) -> bool:
    """Tell a known brand by itself («Apple») from a family of models («iPhone») and from all else."""
    brand = implied_brand(text)
    return brand is not None and model_key(text, brand=brand) in (None, brand)


def _chains(text: str, words: Sequence[Word], kind: Kind) -> Iterator[Chain]:
    """Yield the longest rows of words that can stand in one name: names, and numbers after a name."""
    chain: Chain = []
    for word, following in zip_longest(words, words[1:]):
        if chain and not touch(text, chain[-1], word):
            yield chain
            chain = []
        measured = _is_measured(word, following, kind, behind=bool(chain))
        goes_on = chain and (word.number or word.ending or kind.storage or is_variant(word.text))
        if not measured and (word.naming or goes_on):
            chain.append(word)
        elif chain:
            yield chain
            chain = []
    if chain:
        yield chain


def _is_measured(word: Word, following: Word | None, kind: Kind, *, behind: bool) -> bool:
    """Tell a size, a weight, a memory from a piece of a name, which the word may stand `behind`."""
    if kind.storage:
        return False
    if is_size(word.text, kind):
        return True
    if word.naming or (word.ending and behind):
        return False
    unit = word.number and following is not None and is_measured(word.text, following.text)  # «128 gb»
    return bool(unit or is_measure(word.text))


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    for match in _QUOTED.finditer(text):
        before = text[max(0, match.start() - 40) : match.start()]
        fits = _FITS.search(before) or _PRINTED.search(before)
        if _LETTER.search(match[1]) and len(match[1].split()) <= WORDS_MAX and not fits:
            yield match.span(1)
