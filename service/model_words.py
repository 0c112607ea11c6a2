"""What each word of a product's name is: a brand, a series, a word that tells models apart, or noise.

The lists are in `product_models.toml`; what they do not know is transliterated and spelled by its sound,
so that «Форвард» and «Forward» are one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from service import lexicon
from service.letters import fold

Kind = Literal["brand", "family", "critical", "word"]
FILE = "product_models.toml"
MAX_CHARS = 300  # of a text that is read; the longest real model name seen has 71
MIN_SOUNDED = 4  # shorter words are codes: «GA» and «GK» differ
_WORDS_CACHED = 2**15
_MIN_PHRASE = 5  # letters; «x s» is no «xs» of its own

_TWINS = dict(zip("асеорхукмнтв", "aceopxykmhtb", strict=True))
_LATIN_OF = dict(
    zip("абвгдезийклмнопрстуфхцыэ", "abvgdeziiklmnoprstufhcie", strict=True)
) | {"ж": "zh", "ч": "ch", "ш": "sh", "щ": "sh", "ю": "yu", "я": "ya", "ъ": "", "ь": ""}  # fmt: skip
_UKRAINIAN = str.maketrans("іїјѕє", "iijsе")
_TO_TWINS = str.maketrans(_TWINS)
_TO_LATIN = str.maketrans(_LATIN_OF)
_CYRILLIC = re.compile("[а-я]")
_CYRILLIC_ALONE = re.compile("[бгджзийлпфцчшщъыьэюя]")
_LATIN_ALONE = re.compile("[dfgijlnqrsuvwz]")
_VOWEL = re.compile("[aeiouy]")
_SAYABLE_X = re.compile("[a-z][aeiou]x")  # «pax» and «Пакс», «fox» and «Фокс» are words; «GLX» is a code
_SAYABLE_TWINS = re.compile(r"(?<![^\W_])[вкмнрст][аеоу][вкмнрст](?![^\W_])")
_FOREIGN = re.compile(r"[^\x00-\x7fа-яА-Я]")
_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        ("ph", "f"), ("w", "v"), ("th", "t"), ("s?ch(?=t)", "h"), ("tch|ch", "č"), ("ck", "k"),
        ("c(?=[eiy])", "s"), ("qu(?=[aeio])", "kv"), ("q", "k"), ("x", "ks"), ("c", "k"),
        ("y|j(?=[aeou])", "i"), ("ee", "i"), ("oo|ou", "u"), ("č", "ch"), (r"(.)\1+", r"\1"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One listed word: its spelling in a key, what it is, whose it is, its place among the listed."""

    text: str
    kind: Kind
    rank: int
    brand: str | None = None


def clean(text: str) -> str:
    """Return the start of a text in lower case, in one spelling, without accents; й stays."""
    text = fold(text[: 4 * MAX_CHARS]).lower()
    if _FOREIGN.search(text):
        text = text.translate(_UKRAINIAN)
        text = "".join(_bare(char) if ord(char) > 127 else char for char in text)
    text = re.sub(r"(?<=[^\W\d_])['’`](?=[^\W\d_])", "", text)
    return text[:MAX_CHARS]


def _bare(char: str) -> str:
    """Return a letter without its accents: é is e, while й is a letter of its own."""
    if "а" <= char <= "я":
        return char
    base = unicodedata.normalize("NFKD", char)
    return "".join(part for part in base if not unicodedata.combining(part)).lower().replace("ё", "е")


def is_cyrillic(word: str) -> bool:
    """Tell whether a lower-case word has a Russian letter."""
    return _CYRILLIC.search(word) is not None


def looks_latin(word: str) -> str | None:
    """Return the Latin word that a Cyrillic one looks like, if each of its letters has a twin."""
    return word.translate(_TO_TWINS) if all(char in _TWINS for char in word) else None


def one_script(text: str) -> str:
    """Read letters that two alphabets share as those of the text's own: «Nокiа СОМ», «Тойота Рав 4»."""
    if text.isascii():
        return text
    latin, russian = _LATIN_ALONE.search(text), _CYRILLIC_ALONE.search(text)
    if latin and not russian:
        return text.translate(_TO_TWINS)
    if russian and not latin:
        return _SAYABLE_TWINS.sub(lambda match: match[0] if find(match[0]) else romanise(match[0]), text)
    return text


def romanise(word: str) -> str:
    """Return a lower-case word in Latin letters."""
    return word.replace("дж", "j").translate(_TO_LATIN)


def sound(word: str) -> str:
    """Return how a Latin word is heard by a Russian: «Kraft» and «craft», «Victoria» and «Виктория»."""
    for pattern, heard in _SOUNDS:
        word = pattern.sub(heard, word)
    return word


@lru_cache(maxsize=_WORDS_CACHED)
def spelled(word: str) -> str:
    """Return the one spelling of a word that no list knows."""
    latin = romanise(word)
    return sound(latin) if is_sounded(latin) else latin


def is_code(latin: str) -> bool:
    """Tell whether Latin letters could be those of a code: «GA», «DDF», but not «rio»."""
    return len(latin) < MIN_SOUNDED and (len(latin) < MIN_SOUNDED - 1 or _VOWEL.search(latin) is None)


def is_sounded(latin: str) -> bool:
    """Tell whether a Latin word can be said, and so is spelled by its sound: «essb», «kxfa» are codes."""
    if len(latin) < MIN_SOUNDED:
        return _SAYABLE_X.fullmatch(latin) is not None
    run = 3 if len(latin) == MIN_SOUNDED else 4
    return _VOWEL.search(latin) is not None and max(map(len, _VOWEL.split(latin))) < run


@lru_cache(maxsize=_WORDS_CACHED)
def find(word: str) -> Entry | None:
    """Return the entry of a lower-case word by its spelling, its look, its transliteration or its sound."""
    exact, heard = _index()
    if found := exact.get(word):
        return found
    latin = word
    if is_cyrillic(word):
        latin = romanise(word)
        if found := exact.get(looks_latin(word) or "") or exact.get(latin):
            return found
    return heard.get(sound(latin)) if len(latin) >= MIN_SOUNDED else None


@lru_cache(maxsize=_WORDS_CACHED)
def find_phrase(words: tuple[str, ...]) -> Entry | None:
    """Return the entry that several words spell together: «air pods», «g shock»."""
    exact, _ = _index()
    if found := exact.get(" ".join(words)):
        return found
    together = "".join(words)
    if len(together) < _MIN_PHRASE or min(map(len, words)) < 2:
        return None
    return exact.get(together) or exact.get(romanise(together))


@lru_cache(maxsize=_WORDS_CACHED)
def is_noise(word: str) -> bool:
    """Tell whether a lower-case word is a colour, a condition, a kind of thing or small talk."""
    return bool(_noise().entries_of(word))


@lru_cache(maxsize=_WORDS_CACHED)
def family_within(word: str) -> tuple[str, str] | None:
    """Split «iphonexr» into a listed series and the rest."""
    exact, _ = _index()
    for end in range(len(word) - 1, 4, -1):
        entry = exact.get(word[:end])
        rest = word[end:]
        if entry and entry.kind == "family" and (len(rest) < 3 or find(rest)):
            return word[:end], rest
    return None


@cache
def data() -> dict[str, Any]:
    """Return the packaged lists."""
    return lexicon.read(FILE)


@cache
def units() -> dict[str, str]:
    """Return spelling -> unit."""
    return {spelling: unit for unit, spellings in data()["units"].items() for spelling in (unit, *spellings)}


@cache
def _noise() -> lexicon.Terms:
    return lexicon.Terms(entry for entries in data()["noise"].values() for entry in entries)


def brands() -> Iterator[tuple[str, str]]:
    """Yield (spelling without spaces, brand) for every listed spelling of a brand."""
    exact, _ = _index()
    return ((word, entry.text) for word, entry in exact.items() if entry.kind == "brand" and " " not in word)


@cache
def _index() -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Return the entries by spelling and by sound; a sound that two entries share finds neither."""
    exact: dict[str, Entry] = {}
    heard: dict[str, Entry | None] = {}
    for entry, spellings in _entries():
        for spelling in spellings:
            words = clean(spelling).replace("-", " ").split()
            exact.setdefault("".join(words), entry)
            exact.setdefault(" ".join(words), entry)
    for word, entry in exact.items():
        latin = romanise(word)
        if len(latin) >= MIN_SOUNDED and " " not in word:
            key = sound(latin)
            heard[key] = entry if heard.get(key, entry) == entry else None
    return exact, {key: entry for key, entry in heard.items() if entry}


def _entries() -> Iterator[tuple[Entry, list[str]]]:
    """Yield every entry of the lists with its spellings."""
    lists = data()
    sections: list[tuple[Kind, str | None, dict[str, list[str]]]] = [
        ("brand", None, lists["brands"]),
        *(("family", brand, words) for brand, words in lists["families"].items()),
        ("critical", None, lists["critical"]),
        ("word", None, lists["words"]),
    ]
    rank = 0
    for kind, brand, words in sections:
        for name, spellings in words.items():
            rank += 1
            text = name.replace("-", " ")
            owner = text if kind == "brand" else brand
            yield Entry(text=text, kind=kind, rank=rank, brand=owner), [text, *spellings]
