"""What the seller said, indexed for the checks, and told plainly where no model's text can be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.cleaning import visible
from service import guards
from service.grounding import YES, Fact, Facts, used
from service.labels import told_params
from service.letters import fold, skeleton, stem
from service.morphology import form, names_a_thing
from service.sentences import is_complete

WORD = re.compile(r"[^\W\d_]{3,}")
SALE = re.compile(r"\b(?:прода|распрода)")
# Wanted, to let, services, jobs: a small model offers all of them for sale.
OTHER_DEAL = re.compile(
    r"\b(?:купл[юа]|купим|скупк|сда[мюё]|сдаем|сдается|аренд|сним[уе]|ищу|ищем|услуг|ваканс|резюме)"
)
NEVER_SHOWN = ("contact_", "prohibited")  # prefixes of the reasons that hold for people's own words too
NEVER_COPIED = (*NEVER_SHOWN, "prompt_leftover")  # markup in a quote is data, in a text of ours it is not
PROPER = frozenset(
    {"бренд", "марка", "модель", "производитель", "автор", "исполнитель", "версия"}
)  # values keep their case
VALUE_MAX = 60  # characters of a value: beyond it a list reads badly
UNTOLD_MAX = 8  # parameters in the sentence
ON_PHOTO, PRICE = "На фото", "Цена"
NOTHING_TO_SAY = "Подробности можно уточнить у продавца в сообщениях."


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What the seller said. `facts` are (label, text) pairs in the order in which they are told."""

    title: str
    category: str
    params: Mapping[str, str]
    price: float | None
    price_text: str
    captions: Sequence[str] = ()

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Return every fact that a description may use."""
        found = [
            ("Название", self.title),
            ("Категория", self.category),
            *self.params.items(),
            *((ON_PHOTO, caption) for caption in self.captions),
            (PRICE, self.price_text),
        ]
        return [(label, text) for label, text in found if text.strip()]


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """A listing indexed: what a sentence may rest on, and what it has to be about (as sets of stems)."""

    evidence: Facts
    facts: tuple[Fact, ...]
    title: frozenset[str]
    category: frozenset[str]
    subject: frozenset[str]
    labels: frozenset[str]  # in plain words, of facts that their label alone does not tell
    not_for_sale: bool

    @classmethod
    def of(cls, listing: Listing) -> Grounds:
        """Index a listing; a label's digits («Параметр 3») are no facts."""
        lines = [f"{re.sub(r'[0-9]', '', label)}: {text}" for label, text in listing.params.items()]
        lines += [f"{label}: {value}" for label, value in told_params(listing.params) if label]
        lines += [f"{ON_PHOTO}: {caption}" for caption in listing.captions]
        values = " ".join([*listing.params.values(), *listing.captions])
        title, category = stems_of(listing.title), stems_of(listing.category)
        thing = title if names_a_thing(listing.title) else stems_of(values) | category
        labels = [label for label, value in listing.params.items() if fold(value).lower() not in YES]
        labels += [ON_PHOTO, PRICE]
        said = fold(f"{listing.title} {listing.category} {values}").lower()
        return cls(
            evidence=Facts.of([listing.title, listing.category, *lines], price=listing.price),
            facts=tuple(Fact.of(label, text) for label, text in listing.facts),
            title=title,
            category=category,
            subject=thing or title,
            labels=frozenset(plain_words(label) for label in labels) - {plain_words(listing.title)},
            not_for_sale=bool(OTHER_DEAL.search(said)) and not SALE.search(said),
        )


def stems_of(text: str) -> frozenset[str]:
    """Return the stems of the words that carry meaning."""
    return frozenset(stem(skeleton(word)) for word in WORD.findall(fold(text).lower()))


def plain_words(text: str) -> str:
    """Return the text in small letters without its marks."""
    return " ".join(re.findall(r"\w+", fold(text).lower()))


def fallback(listing: Listing, *, max_chars: int) -> list[str]:
    """Return a description made of the seller's own words: title, category, parameters, as space allows.

    What is on the photos stands between them and the price. Contacts and prohibited words of the seller's are
    left out here too.
    """
    told = [f"{label} — {value}" if label else value for label, value in told_params(listing.params)]
    told += [f"{ON_PHOTO} — {caption}" for caption in listing.captions]
    price = [f"{PRICE} — {listing.price_text}"] if listing.price_text else []
    sentences: list[str] = []
    room = max_chars
    for part in (listing.title, listing.category, *told, *price):
        sentence = tidy(part)
        if len(sentence) < 2 or (guards.find(sentence) or "").startswith(NEVER_COPIED):
            continue
        needed = len(sentence) + bool(sentences)
        if needed <= room:
            sentences.append(sentence)
            room -= needed
    return sentences or [NOTHING_TO_SAY]


def untold(listing: Listing, *, text: str) -> list[str]:
    """Return, as one sentence or none, the named parameters and what is on the photos, if left out so far."""
    parts = []
    for label, value in (*told_params(listing.params), *((ON_PHOTO, one) for one in listing.captions)):
        if not label or len(value) > VALUE_MAX or used([(label, value)], description=text):
            continue
        name = label[:1].lower() + label[1:] if label[1:2].islower() else label
        part = f"{name} — {value if name in PROPER else _small(value)}"
        if not (guards.find(tidy(part)) or "").startswith(NEVER_COPIED):
            parts.append(part)
    return [tidy(", ".join(parts[:UNTOLD_MAX]))] if parts else []


def _small(text: str) -> str:
    """Begin with a small letter, unless the first word is a name or a shortening."""
    first = re.match(r"[А-ЯЁ][а-яё]+(?![^\W\d_])", text)
    reading = form(first[0].lower()) if first else None
    return text[0].lower() + text[1:] if reading and reading.known and not reading.name else text


def tidy(sentence: str) -> str:
    """Begin with a capital, end with a mark."""
    sentence = " ".join(visible(sentence).split())
    if sentence[:1].islower() and not re.match(r"[a-z]+[A-Z]", sentence):  # iPhone stays as it is
        sentence = sentence[0].upper() + sentence[1:]
    return sentence if is_complete(sentence) else sentence.rstrip(" ,;:-–—") + "."
