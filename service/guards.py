"""Tell why a sentence of the model may not be shown: contacts, refusals, prompt leftovers, nonsense.

Each check reads one sentence and nothing else; `Repetition` alone remembers what was shown before. The
expressions are data (`guards.toml`); what no expression can say is code here and in `phones.py`.
A leak costs more than a lost sentence, so a doubtful contact is dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from types import MappingProxyType

from service import lexicon
from service.letters import fold
from service.phones import has_phone

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "contact_phone": "a telephone number, however it is written",
        "contact_email": "an e-mail address",
        "contact_link": "a link or a site's name",
        "contact_messenger": "a messenger, a social network or a nick",
        "refusal": "the model speaks about itself or to whoever asked it",
        "prompt_leftover": "labels, markup or special tokens of the prompt",
        "prohibited": "obscene words or goods that may not be sold",
        "not_russian": "another language or script, or letters that are no word",
        "repetition": "the sentence repeats itself or an earlier one",
        "too_short": "fewer than three letters in a row and nothing measured",
    }
)

_BY_PATTERN = (
    "contact_email",
    "contact_link",
    "contact_messenger",
    "refusal",
    "prompt_leftover",
    "prohibited",
)
_SPACED_OUT = re.compile(r"(?<![^\W_])(?:[^\W\d_][\s._*-]{1,2}){3,}[^\W\d_](?![^\W_])")
_LEET = re.compile(
    r"(?<!\w)(?=[013б6@$]?[а-я])[а-я0136@$]*(?:[а-я][0136@$][а-я]|(?<!\w)[06][а-я])[а-я0136@$]*"
)
_LEET_LETTERS = str.maketrans("0136@$", "оизбас")

_EXOTIC = re.compile(r"[^\u0000-\u024f\u0370-\u03ff\u0400-\u045f\u1e00-\u1eff\u2000-\u2bff]")
_TORN = "\ufffd"  # what a tokenizer prints for half a character
_SISTER = re.compile(r"[їєґўјљњћђџЇЄҐЎЈЉЊЋЂЏ]")
_PATCHWORK = re.compile(r"[а-я]+[a-z]+[а-я]+|[a-z]+[а-я]+[a-z]+")  # «кvарtира», not «SMSки»
_CONSONANTS = re.compile(r"[бвгджзйклмнпрстфхцчшщьъ]{7}|[аеиоуыэюя]{6}")
_CYRILLIC = re.compile(r"[а-яА-Я]")
_LOWER_LATIN = re.compile(r"(?<![\w.-])[a-z]{2,}(?![\w.-]*\d)")
_ENGLISH = frozenset(lexicon.read("lexicon.toml")["english"]["words"])
_LONGEST = 25  # letters; «достопримечательностями» has 23

_WORD = re.compile(r"[^\W_]+")
_ROW = re.compile(r"([а-яa-z!?.,…*=_~+-])\1{4}")
_ROW_OF_MARKS = 11  # sellers do write «!!!!!»
_SYLLABLES = re.compile(r"(\w{2,6}?)\1\1")
_WORD_ROW, _GRAM_TIMES = 3, 3
_LONG, _DISTINCT = 14, 0.5  # words; a longer sentence with a smaller share of distinct words is a loop
_SAID = re.compile(r"[а-яa-z]{3}|\d[\d.,]*\s?[а-яa-z%₽]|[а-яa-z]{2}\s?\d")
_STEM = 5  # letters; enough to tell words apart, too few to tell their endings
_NEAR = 0.8


def find(sentence: str) -> str | None:
    """Return the code (see `REASONS`) why the sentence may not be shown, or None if it may."""
    text = fold(sentence)
    lower = text.lower()
    if has_phone(lower):
        return "contact_phone"
    for variant in _variants(lower):
        for reason in _BY_PATTERN:
            if any(pattern.search(variant) for pattern in _patterns(reason)):
                return reason
    words = _WORD.findall(lower)
    if _not_russian(text, lower, words):
        return "not_russian"
    if _repeats(lower, words):
        return "repetition"
    return None if _SAID.search(lower) else "too_short"


@cache
def _patterns(reason: str) -> tuple[re.Pattern[str], ...]:
    """Compile a section of `guards.toml`; a leading edge shared by all words of it is what makes it fast."""
    section = lexicon.read("guards.toml")[reason]
    edges = {"words": r"\b", "start": r"\A\W*", "any": ""}
    return tuple(
        re.compile(f"{edge}(?:{'|'.join(section[key])})") for key, edge in edges.items() if section[key]
    )


def _variants(lower: str) -> list[str]:
    """Return the text, and again with spaced-out words closed up or with digits inside words as letters."""
    variants = [lower]
    if _SPACED_OUT.search(lower):
        variants.append(_SPACED_OUT.sub(lambda match: re.sub(r"[\W_]", "", match[0]), lower))
    if _LEET.search(lower):
        variants.append(_LEET.sub(lambda match: match[0].translate(_LEET_LETTERS), lower))
    return variants


def _not_russian(text: str, lower: str, words: list[str]) -> bool:
    """Tell another script, English prose and letters without sense from Russian with foreign names in it.

    Names alone («Apple iPhone 13 Pro 256 GB.») pass: whether they are the seller's is for grounding.
    """
    if any(char.isalpha() or char == _TORN for char in _EXOTIC.findall(text)) or _SISTER.search(text):
        return True
    if _CONSONANTS.search(lower) or max(map(len, words), default=0) > _LONGEST:
        return True
    cyrillic = len(_CYRILLIC.findall(text))
    if cyrillic == len("".join(words)):
        return False
    if _PATCHWORK.search(lower):
        return True
    foreign = _LOWER_LATIN.findall(text)
    few = cyrillic * 2 < sum(map(str.isalpha, text))
    return few and (len(_ENGLISH.intersection(words)) > 1 or (not cyrillic and len(foreign) > 2))


def _repeats(lower: str, words: list[str]) -> bool:
    """Tell whether the sentence is caught in a loop of letters, syllables, words or phrases."""
    for match in _ROW.finditer(lower):
        if match[1].isalpha() or lower[match.start() :].startswith(match[1] * _ROW_OF_MARKS):
            return True
    if any(len(word) > 8 and _SYLLABLES.search(word) and not word.isdigit() for word in words):
        return True
    row = 1
    for previous, word in pairwise(words):
        row = row + 1 if word == previous else 1
        if row > _WORD_ROW:
            return True
    if len(words) < 2 * _GRAM_TIMES:
        return False
    grams = Counter(zip(words, words[1:], words[2:], strict=False))
    return max(grams.values()) >= _GRAM_TIMES or (
        len(words) >= _LONG and len(set(words)) < _DISTINCT * len(words)
    )


class Repetition:
    """Remembers the sentences of one answer and knows one that says nothing new."""

    def __init__(self) -> None:
        self._earlier: list[frozenset[str]] = []

    def seen(self, sentence: str) -> bool:
        """Tell whether nearly all words of the sentence stood in one earlier sentence; else remember it.

        Another number makes another sentence: «Размер 42.» and «Размер 44.» differ.
        """
        words = frozenset(word[:_STEM] for word in _WORD.findall(fold(sentence).lower()))
        for earlier in self._earlier:
            new = words - earlier
            if len(words) - len(new) >= _NEAR * len(words) and not any(word[0].isdigit() for word in new):
                return True
        self._earlier.append(words)
        return False
