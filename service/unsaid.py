"""Words that tell something of the goods and that the seller never said: a thing, a kind, a use, a slip.

The claims of `lexicon.toml` are what a buyer relies on, each with its own ways to be said. This looks at all
other words: «кукла» about a jacket, «туристический» about a knife, «сукула», which is no word at all. A noun,
an adjective, a verb or a word that no dictionary knows has to be one of the seller's, or kin to one, or to
claim nothing (`[neutral]` in `lexicon.toml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import cache

from rapidfuzz.distance import DamerauLevenshtein, Prefix

from service import lexicon
from service.letters import skeleton, stem
from service.morphology import form

_WORD = re.compile(r"(?<![^\W_])[а-я]{4,}(?![^\W_])")  # three letters tell little and are kin to much
_ROOT = 4  # letters that two kin words share at least: «стол» and «столик»
_ENDS = 2  # letters of a stem that kin words may differ in: «ремешок», «ремешка»
_LONG = 5  # letters from which one slip of the seller's leaves a word that can be known again


@cache
def _neutral() -> frozenset[str]:
    words = str(lexicon.read("lexicon.toml")["neutral"]["words"]).split()
    units = (spelling for spelling in lexicon.units() if spelling.isalpha())
    return frozenset(map(stem, (*words, *units)))


@cache
def _units() -> tuple[str, ...]:
    return tuple(spelling[:-1] for spelling in lexicon.units() if spelling.endswith("*"))


def unsaid(text: str, *, words: AbstractSet[str], stems: AbstractSet[str]) -> Iterator[str]:
    """Yield the telling words of a folded lower-case text that the seller's own do not support."""
    claims, _, _ = lexicon.claims()
    numerals, _ = lexicon.numerals()
    for match in _WORD.finditer(text):
        word = match[0]
        if skeleton(word) in words:
            continue
        found, written = stem(word), form(word)
        if not written.known:
            if not any(_odd_too(found, said) for said in words):
                yield word
        elif found not in stems and found not in _neutral():
            judged = claims.entries_of(word) or numerals.entries_of(word) or word.startswith(_units())
            if written.telling and not judged and not any(_kin(word, said) for said in words):
                yield word


def _odd_too(found: str, said: str) -> bool:
    """Tell whether the seller has a word with this stem that no dictionary knows either."""
    return stem(said) == found and not form(said).known


def _kin(word: str, said: str) -> bool:
    """Tell whether a word can be a form, a part or a derivative of what was said, or its right spelling."""
    if said[:1] != word[:1] and not said.endswith(word[-2:]):
        return False  # nothing below could hold, and this is asked of every word of the seller's
    one, other = form(word), form(said)
    if one.lemma == other.lemma or (len(one.lemma) >= _ROOT and other.lemma.endswith(one.lemma)):
        return True
    short, long = sorted((stem(one.lemma), stem(other.lemma)), key=len)
    shared = Prefix.similarity(short, long)
    if shared >= _ROOT and (shared == len(short) or (shared > _ROOT and shared >= len(short) - _ENDS)):
        return True
    if other.known or len(said) < _LONG:
        return not other.known and len(said) < _ROOT + 1 < len(word) and word.startswith(said)
    return DamerauLevenshtein.distance(stem(word), stem(said)) <= 1
