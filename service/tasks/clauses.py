"""A review cut into clauses: what is said in each, under which heading, and whether it praises or blames.

Whether a clause praises is read from general words of judgement (`reviews.toml`) and from negations beside
them; where these say nothing or too little, a model is asked (see `aspects.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from service import lexicon
from service.letters import fold
from service.morphology import form

# Combining marks and joiners belong to the word: «й» comes in two code points from some phones.
WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u200b-\u200d\u00ad])*")
_AFTER_REACH = 5
LABEL_SENTENCES = 3  # that a heading reaches; in free text the author goes on to other things
CLAUSE_WORDS = 25  # a longer one has no punctuation, or is no sentence
_REVIEWS = lexicon.read("reviews.toml")
_LABELS = {
    word: side for side, key in ((1, "good"), (-1, "bad"), (0, "neutral")) for word in _REVIEWS["labels"][key]
}
_LABEL = (
    r"(?<!\w)(?:"
    + "|".join(sorted((word.replace(" ", r"\s+") for word in _LABELS), key=len, reverse=True))
    + r")\s*:"
)
_LABEL_ALONE = re.compile(_LABEL, re.IGNORECASE)
_TOKEN = re.compile(
    rf"(?P<label>{_LABEL})|(?P<word>{WORD.pattern})|(?P<stop>(?:(?<!\b[^\W\d_])[.](?![a-z\d])|[!?…\n])[.!?…\n]*)"
    r"|(?P<pause>[^\w\s'\"«»“”„%/+*&№#@-]|(?<=\s)-(?=\s))",
    re.IGNORECASE,
)
_POLARITY = _REVIEWS["polarity"]
_BEFORE, _AFTER = frozenset(_POLARITY["before"]), frozenset(_POLARITY["after"])
_ABSENT, _HOLLOW = frozenset(_POLARITY["absent"]), frozenset(_POLARITY["hollow"])
_DENIALS = _BEFORE | _AFTER
_IDLE, _POLITE = frozenset(_POLARITY["idle"]), frozenset(_POLARITY["polite"])
_UNREAL = frozenset(_POLARITY["unreal"])
_TURNS = frozenset({"но", "зато", "однако", "хотя", "а"}) | _UNREAL  # a clause begins with these
_PLAIN_WORDS = 4  # «всё работает», but not «который работает с клиентами давно»


class Word(NamedTuple):
    """A word of the text: where it stands, and how it is spelt after folding."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """What the words of judgement in a clause add up to.

    `mixed` if they contradict each other; `weak` if there are none but a wish («хотелось бы») or a verb
    that is denied («не крутится»).
    """

    value: int = 0  # 1 praise, -1 blame
    mixed: bool = False
    weak: bool = False
    unreal: bool = False  # «если работает», «чтобы светил»


_NO_MOOD, _UNREAL_MOOD = Mood(), Mood(unreal=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A clause; `sentence` numbers the sentences of the review, `label` is the side of the heading above."""

    words: tuple[Word, ...]
    sentence: int
    label: int
    mood: Mood

    @property
    def folded(self) -> str:
        """The clause as it is compared and remembered."""
        return " ".join(word.text for word in self.words)


@lru_cache(maxsize=2**16)  # of words; every review has the same ones
def folded(word: str) -> str:
    """Return a word as it is compared."""
    return fold(word).lower()


@lru_cache(maxsize=2**16)
def judgement(word: str) -> str:
    """Return good, plain, bad, broken, wish or nothing for a folded lower-case word."""
    kinds, terms = _judgements()
    entries = terms.entries_of(word)
    return kinds[entries[0]] if entries else ""


@cache
def _judgements() -> tuple[dict[str, str], lexicon.Terms]:
    kinds = {entry: kind for kind in ("good", "plain", "bad", "broken", "wish") for entry in _POLARITY[kind]}
    return kinds, lexicon.Terms(kinds)


def without_labels(text: str) -> str:
    """Return the text less its form's headings."""
    return _LABEL_ALONE.sub(" ", text)


def clauses(text: str) -> list[Clause]:
    """Cut a text."""
    found: list[Clause] = []
    words: list[Word] = []
    sentence = label = label_from = 0

    def close() -> None:
        if words:
            row = tuple(words)
            found.append(Clause(words=row, sentence=sentence, label=label, mood=mood(row)))
            words.clear()

    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "word":
            spelt = folded(match[0])
            if spelt in _TURNS or len(words) == CLAUSE_WORDS:
                close()
            words.append(Word(match.start(), match.end(), spelt))
            continue
        close()
        if kind in ("stop", "label"):
            sentence += 1
            if sentence - label_from >= LABEL_SENTENCES:
                label = 0
        if kind == "label":
            label_from = sentence
            label = _LABELS[" ".join(match[0].rstrip(" :\t\n").lower().split())]
    close()
    return found


def mood(words: Sequence[Word]) -> Mood:
    """Add up the words of judgement in a clause."""
    texts = [word.text for word in words]
    if texts[0] in _UNREAL:
        return _UNREAL_MOOD
    kinds = [judgement(text) for text in texts]
    if not any(kinds) and "не" not in texts:  # half of all clauses
        return _NO_MOOD
    good = bad = broken = weak = False
    for at, (word, kind) in enumerate(zip(words, kinds, strict=True)):
        if kind == "wish":
            polite = any(after.text in _POLITE for after in words[at + 1 : at + 4])
            weak = weak or not (polite or negated(words, at))
        elif kind:
            denied = negated(words, at)
            praise = kind == "good" or (kind == "plain" and (denied or len(words) <= _PLAIN_WORDS))
            good = good or (praise and not denied) or (kind in ("bad", "broken") and denied)
            bad = bad or (kind in ("bad", "broken") and not denied) or (praise and denied)
            broken = broken or (kind == "broken" and not denied)
        elif at and words[at - 1].text == "не":
            reading = form(word.text)
            weak = weak or (reading.tells and reading.lemma not in _IDLE)
    if broken or (bad and not good):
        return Mood(value=-1)
    if weak and not good:
        return Mood(value=-1, weak=True)
    return Mood(value=int(good and not bad and not weak), mixed=good and (bad or weak))


def negated(words: Sequence[Word], at: int) -> bool:
    """Tell whether a word is denied: «не очень удобный», «без проблем», «нареканий не было»."""
    if _DENIALS.isdisjoint(word.text for word in words):
        return False
    for before in range(at - 1, max(-1, at - 3), -1):
        if words[before].text in _BEFORE:
            return words[before + 1].text not in _HOLLOW
        if judgement(words[before].text):
            break
    reach = _AFTER_REACH if judgement(words[at].text) == "bad" else 1  # «претензий к качеству нет»
    if any(word.text in _AFTER for word in words[at + 1 : at + 1 + reach]):
        return True
    pairs = pairwise(words[at + 1 : at + 5])
    return any(one.text == "не" and form(two.text).lemma in _IDLE for one, two in pairs)


def misses(clause: Clause) -> bool:
    """Tell whether anything is said to be missing."""
    return not _ABSENT.isdisjoint(word.text for word in clause.words)


def absent(words: Sequence[Word], at: int) -> bool:
    """Tell whether a thing is said to be missing: «нет инструкции», «батарейки отсутствуют»."""
    near = [*words[max(0, at - 2) : at], *words[at + 1 : at + 2]]
    return any(word.text in _ABSENT for word in near)
