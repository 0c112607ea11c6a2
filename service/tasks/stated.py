"""What our own side has stated, in listing and chat: the only ground on which a reply may stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from service import guards, lexicon
from service.labels import told_params
from service.letters import fold, skeleton, stem
from service.numerals import Number, numbers
from service.sentences import SentenceSplitter
from service.tasks.thread import Thread, is_unsafe, patterns, topics_of

WORD = re.compile(r"[^\W\d_]+")
NEGATIONS = frozenset({"не", "нет", "без", "ни", "никаких", "нельзя"})
READ_CHARS = 3000  # of the description
QUOTE_MAX = 110  # characters of a sentence that is quoted in a reply
VALUE_MAX = 80  # characters of a parameter that is told in a reply
ATTRIBUTES_MAX = 3
ANSWER_MAX = 160
_LIST_MARK = re.compile(r"^[^\w\"(№$]+")
_SKIPPED_MAX = 2  # words of a statement that a reply may leave out between two of its own
_TELLING = 4  # letters; shorter words of a question match anything
_PLANTED = ("injection", "fraud")  # what stands in a listing only to be read by a model, or to harm


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One sentence of ours: its words in their exact forms and order, its numbers, whether it denies."""

    words: tuple[str, ...]
    numbers: frozenset[str]
    denies: bool

    @classmethod
    def of(cls, text: str, *, without: re.Pattern[str] | None = None) -> Statement:
        """Index a sentence; the words that match `without` do not count."""
        lower = fold(text).lower()
        words = words_of(lower)
        return cls(
            words=tuple(word for word in words if not (without and without.match(word))),
            numbers=frozenset(value for number in numbers(lower) for value in readings(number)),
            denies=not NEGATIONS.isdisjoint(words),
        )

    def says(self, words: Sequence[str]) -> bool:
        """Tell whether the words stand in the sentence in this order, with next to nothing in between."""
        starts = [at for at, word in enumerate(self.words) if words and word == words[0]]
        return any(self._follows(words, start) for start in starts)

    def _follows(self, words: Sequence[str], at: int) -> bool:
        for word in words[1:]:
            reach = self.words[at + 1 : at + 2 + _SKIPPED_MAX]
            if word not in reach:
                return False
            at += 1 + reach.index(word)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A listing and our own messages, indexed. `attributes` are (label, value) pairs worth telling."""

    title: frozenset[str]  # stems of words that claim nothing
    attributes: tuple[tuple[str, str], ...]
    price: str
    sentences: tuple[str, ...]
    listing: tuple[Statement, ...]
    messages: tuple[Statement, ...]

    @classmethod
    def of(
        cls, *, title: str, params: Mapping[str, str], price: str, description: str, own: Iterable[str]
    ) -> Stated:
        """Index what was said; parts with orders to a model or with fraud are left out."""
        attributes = tuple(
            (label, value)
            for label, value in told_params(params)
            if not is_unsafe([f"{label}: {value}"], kinds=_PLANTED)
        )
        sentences = tuple(_safe(split(description[:READ_CHARS])))
        told = [title, *(f"{label}: {value}" for label, value in attributes), *sentences]
        told += [f"Цена: {price}"] if price else []
        offers = patterns("never")["listing_only_offers"]
        said = [sentence for text in own for sentence in split(text) if "?" not in sentence]
        return cls(
            title=frozenset(stem(word) for word in words_of(fold(title).lower()) if not topics_of(word)),
            attributes=attributes,
            price=price,
            sentences=sentences,
            listing=tuple(Statement.of(text, without=offers) for text in _safe(told)),
            messages=tuple(Statement.of(text) for text in _safe(said)),
        )

    def numbers(self) -> frozenset[str]:
        """Return every number that our side has stated."""
        return frozenset().union(*(statement.numbers for statement in (*self.listing, *self.messages)))

    def supports(
        self, sentence: str, words: Sequence[str], *, by: Sequence[Statement], conditions: frozenset[str]
    ) -> bool:
        """Tell whether one statement of ours says the `words`, the numbers and the conditions of a sentence.

        «Уступлю» is not what «уступлю, если заберёте сегодня» says, nor «торг» what «без торга» says.
        """
        lower = fold(sentence).lower()
        said = frozenset(words_of(lower))
        values = [readings(number) for number in numbers(lower)]
        return any(
            statement.says(words)
            and statement.denies == (not NEGATIONS.isdisjoint(said))
            and all(not statement.numbers.isdisjoint(value) for value in values)
            and conditions.intersection(statement.words) <= said
            for statement in by
        )


def words_of(lower: str) -> list[str]:
    """Return the words of a folded lower-case text, Latin twins read as Cyrillic."""
    return [skeleton(word) for word in WORD.findall(lower)]


def readings(number: Number) -> frozenset[str]:
    """Return the values that a number may be read as."""
    return number.values | frozenset(number.parts)


def split(text: str) -> list[str]:
    """Return the sentences of a text."""
    splitter = SentenceSplitter()
    return [*splitter.feed(text), *splitter.flush()]


def answer(stated: Stated, thread: Thread) -> str | None:
    """Return what the listing itself says to the question, in its own words, or None."""
    wording = lexicon.read("replies.toml")["stated"]
    if thread.topics[:1] == ("price",) and stated.price:
        return str(wording["price"]).format(price=stated.price)
    asked = _attributes_asked(thread.last)
    if told := _attributes(stated, asked, thread.last):
        lines = [
            str(wording["attribute"]).format(label=_capital(label), value=value) for label, value in told
        ]
        return _as_many_as_fit(lines)
    if sentence := _sentence(stated, thread, asked):
        return str(wording["quote"]).format(sentence=sentence)
    if "bargain" in thread.topics and stated.price:
        return str(wording["price_of_bargain"]).format(price=stated.price)
    return None


def _attributes(stated: Stated, asked: Sequence[str], question: str) -> list[tuple[str, str]]:
    """Return the parameters that the question asks for, by their known names or by their own."""
    labels = tuple(label for name in asked for label in _attribute_table()[name][1])
    words = {stem(word) for word in words_of(question) if len(word) >= _TELLING}
    found = []
    for label, value in stated.attributes:
        lower = fold(label).lower()
        own = {stem(word) for word in words_of(lower) if len(word) >= _TELLING}
        named = bool(labels) and any(re.search(rf"\b{re.escape(name)}", lower) for name in labels)
        if label and len(value) <= VALUE_MAX and (named or (own and own <= words)):
            found.append((label, value))
    return found[:ATTRIBUTES_MAX]


def _sentence(stated: Stated, thread: Thread, asked: Sequence[str]) -> str | None:
    """Return the sentence of the description that speaks of what is asked."""
    if not thread.asks and "bargain" not in thread.topics:
        return None
    table = lexicon.read("replies.toml")["quoted"]
    about = [entry for topic in thread.topics for entry in table.get(topic, ())]
    about += [re.escape(label) for name in asked for label in _attribute_table()[name][1]]
    told = [
        (sentence, fold(sentence).lower())
        for sentence in stated.sentences
        if len(sentence) <= QUOTE_MAX and "?" not in sentence and "«" not in sentence
    ]
    for pattern in map(_at_edge, dict.fromkeys(about)):  # the surest words of a topic stand first
        for sentence, lower in told:
            if pattern.search(lower) and not guards.find(sentence):
                return _trim(sentence)
    words = {stem(word) for word in words_of(thread.last) if not _is_plain(word)} - stated.title
    words = {word for word in words if len(word) > _TELLING}
    for sentence, lower in told:
        if not words.isdisjoint(stem(word) for word in words_of(lower)) and not guards.find(sentence):
            return _trim(sentence)
    return None


@cache
def _at_edge(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b{pattern}")


def _trim(sentence: str) -> str:
    """Return the sentence without the list mark before it and the full stop after it."""
    return _LIST_MARK.sub("", sentence).rstrip(" .!…;,:")


def _as_many_as_fit(lines: Sequence[str]) -> str:
    told = lines[0]
    for line in lines[1:]:
        if len(told) + 1 + len(line) <= ANSWER_MAX:
            told = f"{told} {line}"
    return told


def _attributes_asked(question: str) -> list[str]:
    return [name for name, (pattern, _) in _attribute_table().items() if pattern.search(question)]


@cache
def _attribute_table() -> dict[str, tuple[re.Pattern[str], tuple[str, ...]]]:
    table = lexicon.read("replies.toml")["attributes"]
    return {
        name: (re.compile(rf"\b(?:{'|'.join(row['asked'])})"), tuple(row["labels"]))
        for name, row in table.items()
    }


@cache
def _plain_words() -> lexicon.Terms:
    neutral = lexicon.read("replies.toml")["neutral"]
    return lexicon.Terms(
        [*neutral["greeting"], *neutral["filler"], *neutral["affirming"], *neutral["asking"]]
    )


def _is_plain(word: str) -> bool:
    return bool(_plain_words().entries_of(word))


def _safe(texts: Iterable[str]) -> Iterable[str]:
    return (text for text in texts if text.strip() and not is_unsafe([text], kinds=_PLANTED))


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]
