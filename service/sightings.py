"""A listing's photos against its seller: one caption, and what of it the seller says otherwise.

The seller wins. What contradicts a parameter, the title or the category is left out of the caption and told;
what is merely close to the seller's word, or to a word that no bank knows, is left out in silence. Photos of
another thing than the seller's say nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from models.eyes import Bank, BankName
from service.captions import Captions, Label, Look
from service.letters import fold, skeleton, stem
from service.morphology import first_noun, names_a_thing

__all__ = ["INTRO", "Contradiction", "Seen", "merged"]

TITLE, CATEGORY = "title", "category"
_WORD = re.compile(r"[^\W\d_]+")
INTRO = "на фото: "
_MAJORITY = 0.5  # of a bank's votes; photos that disagree say nothing together


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What the photos show and the seller's word against it; `field`: a parameter, title or category."""

    label: Label
    field: str
    said: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A listing's photos in one caption («на фото: синяя толстовка»), its labels, the contradictions."""

    text: str | None
    labels: tuple[Label, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()


@dataclass(frozen=True, slots=True)
class _Statement:
    """The seller's word on a bank: the labels that it may mean, none where no label does."""

    field: str
    said: str
    names: frozenset[str]


def merged(
    looks: Sequence[Look], captions: Captions, *, title: str, category: str | None, params: Mapping[str, str]
) -> Seen:
    """Return what a listing's photos show together and the seller does not deny."""
    votes = {label.bank: label for label in _elected(looks)}
    statements = {
        bank: _statement(captions.banks[bank], title=title if bank != "category" else "", params=params)
        for bank in votes
    }
    place = _place(captions, category or "", statements.get("kind"))
    kept: dict[BankName, Label] = {}
    contradictions = []
    for bank_name, label in votes.items():
        bank, statement = captions.banks[bank_name], statements[bank_name]
        if statement and not any(bank.are_near(label.name, name) for name in statement.names):
            if statement.names:
                contradictions.append(Contradiction(label, statement.field, statement.said))
        elif place and _is_misplaced(label, captions, place):
            contradictions.append(Contradiction(label, place.field, place.said))
        elif statement is None or label.name in statement.names:
            kept[bank_name] = label
    if len(looks) > 1:
        kept.pop("view", None)  # several photos have several views
    denied = any(one.label.bank == "kind" for one in contradictions)
    text = None if denied else captions.text(_names(kept, votes.get("kind"), captions, place, title=title))
    return Seen(INTRO + text if text else None, tuple(kept.values()), tuple(contradictions))


def _elected(looks: Sequence[Look]) -> Iterator[Label]:
    """Yield the label of each bank that has most of its votes, which weigh as much as their scores."""
    votes: dict[BankName, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for look in looks:
        for label in look.labels:
            votes[label.bank][label.name].append(label.score)
    for bank, names in votes.items():
        name, scores = max(names.items(), key=lambda item: sum(item[1]))
        if sum(scores) > _MAJORITY * sum(map(sum, names.values())):
            yield Label(bank, name, sum(scores) / len(scores))


def _names(
    kept: Mapping[BankName, Label],
    kind: Label | None,
    captions: Captions,
    place: _Statement | None,
    *,
    title: str,
) -> dict[BankName, str]:
    """Return what the caption says, nothing without a noun: «коричневый предмет» helps nobody.

    Where no kind is seen for sure, it is the seller's own if the title names one («серое платье»); a thing
    that no bank knows is not called by its category, which tells less than the title. Else the category is.
    """
    names = {bank: label.name for bank, label in kept.items()}
    if "kind" in names:
        return names
    own = _meant(captions.banks["kind"], first_noun(title)) if "kind" in captions.banks else ()
    category = names.pop("category", None)
    if len(own) == 1:
        return {"kind": min(own), **names} if names else {}
    if names_a_thing(title):
        return {}
    if category is None and kind and not (place and _is_misplaced(kind, captions, place)):
        category = captions.category_of(kind)
    return {"category": category, **names} if category else {}


def _statement(bank: Bank, *, title: str, params: Mapping[str, str]) -> _Statement | None:
    """Return the seller's word on a bank: a parameter, or the title where it speaks of it.

    «Тип товара: для мужчин» says nothing about the kind, but «Цвет: мультиколор» is a word on the colour.
    """
    labels = {_plain(label) for label in bank.params}
    for field, said in params.items():
        if _plain(field) in labels and said.strip():
            names = _meant(bank, said)
            if names or bank.form != "noun":
                return _Statement(field, said, names)
    names = _meant(bank, title)
    return _Statement(TITLE, title, names) if names else None


def _place(captions: Captions, category: str, kind: _Statement | None) -> _Statement | None:
    """Return the categories where the listing belongs by the seller's category and kind; none: elsewhere."""
    bank = captions.banks.get("category")
    if bank is None:
        return None
    names = _meant(bank, category)
    elsewhere = not names and bool(_stems(category) & _stems(" ".join(captions.elsewhere)))
    kinds = captions.banks["kind"].items if "kind" in captions.banks else {}
    own = {kinds[name].category for name in kind.names} if kind else set()
    if names or elsewhere:
        return _Statement(CATEGORY, category, names | {name for name in own if name})
    return _Statement(kind.field, kind.said, frozenset(name for name in own if name)) if kind else None


def _is_misplaced(label: Label, captions: Captions, place: _Statement) -> bool:
    """Tell whether a kind, or a category seen, belongs elsewhere than where the seller put the listing."""
    own = captions.category_of(label)
    return own is not None and not any(captions.banks["category"].are_near(own, name) for name in place.names)


def _meant(bank: Bank, text: str) -> frozenset[str]:
    """Return the labels whose name, or another word for it, stands in a text, in any case and number."""
    words = _stems(text)
    return frozenset(
        name for name, item in bank.items.items() if any(one <= words for one in _ways(name, item.also))
    )


@lru_cache(maxsize=1024)
def _ways(name: str, also: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    return tuple(found for found in map(_stems, (name, *also)) if found)


@lru_cache(maxsize=1024)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(skeleton(word)) for word in _WORD.findall(fold(text).lower()))


def _plain(label: str) -> str:
    return " ".join(fold(label).lower().split())
