"""Keep a description to what the seller said: every number, foreign word, name and claim has its source.

Built once for a request from everything the seller typed; a sentence with anything unsupported is dropped.
Which words claim something a buyer relies on, and which claim nothing («удобный», «подойдёт»), is data, in
`lexicon.toml`; all others have to be the seller's (`unsaid.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from service import lexicon
from service.letters import fold, skeleton, stem
from service.numerals import Number, numbers
from service.unsaid import unsaid

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "ungrounded_number": "a number that the input does not have",
        "ungrounded_size": "a number of the input with another unit",
        "ungrounded_word": "a word that the input does not have: in Latin letters, or telling of the goods",
        "ungrounded_name": "a proper name or quoted word that the input does not have",
        "ungrounded_claim": "a claim about condition, price, colour, material … that the input does not make",
    }
)

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"[^\W_]+")
_COMPOUND = re.compile(r"[^\W_]+(?:[-&.+'/][^\W_]+)+")
_LATIN = re.compile(r"[^\W\d_а-яА-Я]+(?:[-&.+'/]?[^\W\d_а-яА-Я]+)*")
_QUOTED = re.compile(r'«([^»]*)»|"([^"]*)"')
_CAPITAL = re.compile(r"(?<![^\W_])[А-Я][а-яА-Я]*")
_STARTS = re.compile(r"(?:^|[.!?])[^\w]*$")
_USED = re.compile(r"(?<!\w)б\s?[/\\.]\s?у(?!\w)\.?", re.IGNORECASE)
_TIMES = re.compile(r"(?<=\d)\s*[xх*]\s*(?=\d)")
_POLITE = frozenset({"вы", "вас", "вам", "вами", "ваш", "ваша", "ваше", "ваши", "вашего", "вашей", "вашим",
                     "вашему", "вашу", "ваших"})  # fmt: skip
_PREPOSITIONS = frozenset({"для", "при", "под", "над", "или", "как", "про"})
YES = frozenset({"да", "есть", "имеется", "yes", "true"})  # told by the label
_NEGATIONS: Mapping[str, Sequence[str]] = lexicon.read("lexicon.toml")["polarity"]
_PAUSE = re.compile(r"[,.;:!?]")
_CONTENT_MIN = 3  # letters; shorter words are prepositions and units
_REACH = 2  # words that may stand inside a phrase, or between a negation and its claim


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A fragment of a sentence that the input does not support, and the code of the reason."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one request says, indexed for look-ups: words, stems, numbers with their units, claims."""

    words: frozenset[str]
    stems: frozenset[str]
    numbers: Mapping[str, frozenset[frozenset[str] | None]]
    claims: frozenset[tuple[str, bool]]

    @classmethod
    def of(cls, texts: Iterable[str], *, price: float | None = None) -> Facts:
        """Index the seller's own texts (title, category, «label: value» lines) and the price."""
        words: set[str] = set()
        stems: set[str] = set()
        found: dict[str, set[frozenset[str] | None]] = {}
        claims: set[tuple[str, bool]] = set()
        for text in texts:
            plain = _plain(text)
            lower = plain.lower()
            words.update(skeleton(word) for word in _WORD.findall(lower))
            words.update(skeleton("".join(_WORD.findall(word))) for word in _COMPOUND.findall(lower))
            stems.update(_stems(lower))
            for number in numbers(lower):
                for value in number.values | set(number.parts):
                    found.setdefault(value, set()).add(frozenset({"code"}) if number.glued else number.unit)
            claims.update((name, negated) for name, negated, _ in _claims(lower))
        if price is not None:
            value = format(Decimal(str(price)).normalize(), "f")
            found.setdefault(value, set()).add(frozenset({"rub"}))
        return cls(
            words=frozenset(words - {""}),
            stems=frozenset(stems),
            numbers={value: frozenset(units) for value, units in found.items()},
            claims=frozenset(claims),
        )

    def unsupported(self, sentence: str) -> list[Unsupported]:
        """Return every fragment of the sentence that the input does not support, rule by rule."""
        plain = _plain(sentence)
        lower = plain.lower()
        found = numbers(lower)
        return [
            *self._numbers(lower, found),
            *self._latin(lower, found),
            *self._names(plain, found),
            *self._claims(lower),
            *self._words(lower),
        ]

    def _numbers(self, text: str, found: Iterable[Number]) -> Iterator[Unsupported]:
        for number in found:
            fragment = text[number.start : number.end]
            if number.spoken and (number.values == {"1"} or self._has_stem(fragment)):
                continue  # «один» is a pronoun as often as a number; «двухспальная» may be the seller's word
            known = self._units_of(number.values)
            if known is None and number.parts and number.unit != frozenset({"rub"}):
                of_parts = [self._units_of(frozenset({part})) for part in number.parts]
                known = frozenset({None}) if None not in of_parts else None
            if known is None:
                yield Unsupported(fragment, "ungrounded_number")
            elif number.unit and not any(unit is None or unit & number.unit for unit in known):
                yield Unsupported(fragment, "ungrounded_size")

    def _units_of(self, values: frozenset[str]) -> frozenset[frozenset[str] | None] | None:
        """Return the units the input gives any of the values; None if it has none of them."""
        known = [self.numbers[value] for value in values if value in self.numbers]
        return frozenset().union(*known) if known else None

    def _latin(self, text: str, found: Iterable[Number]) -> Iterator[Unsupported]:
        spans = [(number.start, number.end) for number in found if number.unit]
        spans += [match.span() for match in _TIMES.finditer(text)]
        for match in _LATIN.finditer(text):
            parts = [skeleton(word) for word in _WORD.findall(match[0])]
            if "".join(parts) in self.words or all(part in self.words for part in parts):
                continue
            if not any(start <= match.start() and match.end() <= end for start, end in spans):
                yield Unsupported(match[0], "ungrounded_word")

    def _claims(self, text: str) -> Iterator[Unsupported]:
        made = {(name, negated): words for name, negated, words in _claims(text)}
        for claim, words in made.items():
            if claim not in self.claims:
                yield Unsupported(words, "ungrounded_claim")

    def _words(self, text: str) -> Iterator[Unsupported]:
        for word in unsaid(text, words=self.words, stems=self.stems):
            yield Unsupported(word, "ungrounded_word")

    def _names(self, text: str, found: Iterable[Number]) -> Iterator[Unsupported]:
        checked = [(number.start, number.end) for number in found if number.unit]
        quoted = [match.span() for match in _QUOTED.finditer(text)]
        shouting = sum(map(str.isupper, text)) * 2 > sum(map(str.isalpha, text))
        for start, end in quoted:
            for word in re.findall(r"[а-яА-Я]{2,}", text[start:end]):
                if not self._has_stem(word):
                    yield Unsupported(word, "ungrounded_name")
        for match in _CAPITAL.finditer(text):
            word = match[0]
            acronym = len(word) > 1 and word.isupper() and not shouting
            if word.lower() in _POLITE or any(
                start <= match.start() < end for start, end in quoted + checked
            ):
                continue
            opening = (
                bool(_STARTS.search(text, max(0, match.start() - 8), match.start())) or match.start() == 0
            )
            if (acronym or not (opening or shouting)) and not self._has_stem(word):
                yield Unsupported(word, "ungrounded_name")

    def _has_stem(self, word: str) -> bool:
        lower = word.lower()
        return stem(lower) in self.stems or skeleton(lower) in self.words


def _plain(text: str) -> str:
    """Return the folded text with «б/у» as one word."""
    return _USED.sub("бу", fold(text)) if "у" in text or "У" in text else fold(text)


def _stems(text: str) -> set[str]:
    """Return the stems of the words of a folded text, as they are and with Latin twins as Cyrillic."""
    words = _WORD.findall(text)
    return {stem(word) for word in words} | {stem(skeleton(word)) for word in words}


def _claims(text: str) -> Iterator[tuple[str, bool, str]]:
    """Yield (set, negated, words) for each claim that the folded lower-case text makes."""
    terms, single, phrases = lexicon.claims()
    tokens = [(match[0], match.start(), match.end()) for match in _TOKEN.finditer(text)]
    places: dict[str, list[int]] = {}
    for index, (word, _, _) in enumerate(tokens):
        for entry in terms.entries_of(word):
            places.setdefault(entry, []).append(index)
    for entry, indices in places.items():
        if entry in single:
            for index in indices:
                yield single[entry], _negated(text, tokens, index, index), tokens[index][0]
    for phrase, name in phrases.items():
        if phrase[0] in places and all(part in places for part in phrase[1:]):
            for first in places[phrase[0]]:
                others = [min(places[part], key=lambda at: abs(at - first)) for part in phrase[1:]]
                low, high = min(first, *others), max(first, *others)
                if high - low < len(phrase) + _REACH:
                    words = " ".join(word for word, _, _ in tokens[low : high + 1])
                    yield name, _negated(text, tokens, low, high), words


def _negated(text: str, tokens: list[tuple[str, int, int]], first: int, last: int) -> bool:
    """Tell whether a negation stands by the claim, with no comma or stop in between."""
    for index in range(first - 1, max(-1, first - 1 - _REACH), -1):
        if _PAUSE.search(text[tokens[index][2] : tokens[index + 1][1]]):
            break
        if tokens[index][0] in _NEGATIONS["before"]:
            return True
    following = tokens[last + 1 : last + 2]
    return (
        bool(following)
        and following[0][0] in _NEGATIONS["after"]
        and not _PAUSE.search(text[tokens[last][2] : following[0][1]])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact, indexed ahead of the text that may tell it: stems of its label and value, its numbers."""

    said: str
    names: tuple[str, ...]
    words: tuple[tuple[str, str], ...]  # the stem, and the stem of the word with twin letters folded
    numbers: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, label: str, text: str) -> Fact:
        """Index one fact; an empty label means that the text says all."""
        plain = _plain(text).lower()
        found = numbers(plain)
        bare = plain
        for number in reversed(found):
            bare = f"{bare[: number.start]} {bare[number.end :]}"
        names = _content(_plain(label).lower())
        words = _content(bare) or (names if not found else [])
        if words and set(_WORD.findall(bare)) <= YES:
            words = names
        return cls(
            said=f"{label}: {text}" if label else text,
            names=tuple(stem(word) for word in names),
            words=tuple((stem(word), stem(skeleton(word))) for word in words),
            numbers=tuple(frozenset(number.values) for number in found),
        )

    def told(self, *, stems: AbstractSet[str], values: AbstractSet[str]) -> bool:
        """Tell whether a text with these stems and numbers makes use of the fact."""
        told = sum(not stems.isdisjoint(pair) for pair in self.words)
        if not self.numbers:
            return bool(self.words) and told == len(self.words)
        if any(number.isdisjoint(values) for number in self.numbers):
            return False
        if self.words:
            return told * 2 >= len(self.words)
        telling = any(len(value) > 1 for number in self.numbers for value in number)
        return telling or any(name in stems for name in self.names)


def used(facts: Mapping[str, str] | Iterable[tuple[str, str] | Fact], *, description: str) -> list[str]:
    """Return the facts, as «label: value», that the description makes use of.

    A value is used if all its numbers and words are there, or all its numbers and half of its words;
    «да» stands for its label. A lone one-digit number needs its label too: «2» alone is anywhere.
    """
    lower = _plain(description).lower()
    stems = _stems(lower)
    values = {value for number in numbers(lower) for value in number.values | set(number.parts)}
    listed = facts.items() if isinstance(facts, Mapping) else facts
    indexed = (fact if isinstance(fact, Fact) else Fact.of(*fact) for fact in listed)
    return [fact.said for fact in indexed if fact.told(stems=stems, values=values)]


def _content(text: str) -> list[str]:
    """Return the words that carry meaning: all of three letters and more, all Latin ones."""
    words = _WORD.findall(text)
    telling = (len(word) >= _CONTENT_MIN and word not in _PREPOSITIONS for word in words)
    return [w for w, tells in zip(words, telling, strict=True) if tells or w.isascii() or w == "бу"]
