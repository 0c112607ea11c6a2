"""What a good editor writes from exactly these facts: every one told once, nothing added."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import Final

from training.made.catalogue import CASES
from training.made.extras import listed
from training.made.grammar import lemmas
from training.made.listing import Fact, Listing, Tone
from training.made.openings import opening, plans
from training.made.wording import Subject, clauses

_APART: Final = re.compile(r"[:;!,](?!\d)|\d, ")  # in a clause that stands alone; «37,5» does not
_JOINED: Final = re.compile(r",| и ")
_ADJECTIVE_END: Final = "(?:[ыиао][йяе]|яя|ее)"
_STOP: Final = re.compile(r"\.\s[А-ЯЁ]")
_EVEN: Final = re.compile(r"(?!состояние|цена|стоимость)\w+ — [^,]+$")  # «корпус — сталь, а ручка — бук»
_BRACKETS_SHARE: Final = 0.06
_LIST_SHARE: Final = 0.07
_MERGED_SHARE: Final = 0.8
_CLOSING_SHARE: Final = {"neutral": 0.55, "friendly": 0.85, "concise": 0.0}  # of texts with a closing phrase


def describe(listing: Listing, *, tone: Tone, rng: random.Random) -> str:
    """Return a description of the listing's own facts in this tone."""
    if listing.plans:
        short = [plan for plan in listing.plans if tone != "concise" or not _STOP.search(plan)]
        first, rest, priced = rng.choice(short), _untold(listing, listing.plans[0]), False
        subject = Subject.of(listing)
    else:
        subject = Subject.of(listing)
        first, rest, priced = opening(listing, subject, tone, rng)
    amount = listing.price_text
    if amount and (rate := next((one for one in rest if one.key.startswith("price_for")), None)):
        rest, amount = [one for one in rest if one is not rate], f"{amount} {rate.value}"  # «400 ₽ за час»
    if rng.random() < 0.5:
        rng.shuffle(rest)
    told = _told(rest, subject, listing, rng, after=first)
    bracketed = told and rng.random() < _BRACKETS_SHARE and not told[0].startswith(subject.head or " ")
    if bracketed and " — " in told[0] and not _APART.search(first + told[0]):
        first = f"{first} ({told.pop(0)})"
    price = "" if priced else _price(listing, amount, rng)
    if price and (tone == "concise" or rng.random() < 0.4):
        told, price = [*told, price], ""
    sentences = _concise(first, told, rng) if tone == "concise" else [first, *_grouped(told, rng)]
    if price:
        alone = str(rng.choice(plans()["price"]["alone"][listing.deal])).format(amount)
        sentences.insert(len(sentences) if rng.random() < 0.8 else 1, alone)
    if rng.random() < _CLOSING_SHARE[tone]:
        closings = plans()["closing"]
        common = closings[tone] if listing.deal != "wanted" else []
        sentences.append(rng.choice([*common, *closings.get(listing.deal, {}).get(tone, [])]))
    return " ".join(_finished(one) for one in sentences)


def _untold(listing: Listing, plan: str) -> list[Fact]:
    said = lemmas(plan)
    return [fact for fact in listing.facts if not lemmas(fact.value) or not lemmas(fact.value) <= said]


def _told(
    facts: Iterable[Fact], subject: Subject, listing: Listing, rng: random.Random, *, after: str
) -> list[str]:
    """Choose a clause for each fact: no two begin alike, nor like what is before; a value is told once."""
    options: list[list[str]] = []
    values: set[str] = set()
    for fact in facts:
        if fact.value.lower() in values and not fact.value.isdigit():
            continue
        values.add(fact.value.lower())
        if found := clauses(fact, subject, listing):
            options.append(found)
    told: list[str] = []
    forms = [f for case in CASES if (f := subject.headed(case))]
    having = re.compile(rf"у {subject.headed('gent')} (?=\w)")
    being = re.compile(rf"{re.escape(subject.head or ' ')} (?=\S+{_ADJECTIVE_END}$)")
    for found in _merged(_merged(options, having, rng), being, rng):
        opened = {_beginning(one, subject) for one in told}
        fresh = [one for one in found if _beginning(one, subject) not in opened] or found
        named = any(_names(one, forms) for one in told)
        weights = [
            _flow(one)
            * (0.1 if _names(one, forms) and (named or not told) else 1)
            * (0.1 if one.split()[0] == after.split()[0].lower() else 1)
            for one in fresh
        ]
        told.append(rng.choices(fresh, weights)[0])
    return told


def _merged(options: list[list[str]], begun: re.Pattern[str], rng: random.Random) -> list[list[str]]:
    """Join clauses that begin alike: «у сумки плечевой ремень и два кармана», «сумка чёрная и женская»."""
    having = [at for at, found in enumerate(options) if any(map(begun.match, found))]
    if len(having) < 2 or rng.random() > _MERGED_SHARE:
        return options
    alike = [next(one for one in options[at] if begun.match(one)) for at in having[:3]]
    parts = [begun.sub("", one, count=1) for one in alike]
    if any(map(_JOINED.search, parts)):
        return options
    bare = [one.removeprefix("есть ") for one in parts]  # «у щенка есть две прививки и паспорт»
    whole = [alike[0].removesuffix(parts[0]) + ("есть " if bare != parts else "") + listed(bare)]
    kept = [whole if at == having[0] else found for at, found in enumerate(options)]
    return [found for at, found in enumerate(kept) if at not in having[1:3]]


def _flow(clause: str) -> float:
    """Weigh a clause: a phrase reads better than a label with its value."""
    return 0.4 if " — " in clause or ": " in clause or " " not in clause else 1.0


def _names(clause: str, forms: Iterable[str]) -> bool:
    return any(f" {form} " in f" {clause} " for form in forms)


def _beginning(clause: str, subject: Subject) -> str:
    """Return what a clause begins with: two that begin with the thing read like a list of orders."""
    head = subject.head
    return head if head and clause.startswith(f"{head} ") else clause.split(" — ")[0]


def _price(listing: Listing, amount: str, rng: random.Random) -> str:
    return str(rng.choice(plans()["price"][listing.deal])).format(amount) if amount else ""


def _grouped(told: list[str], rng: random.Random) -> list[str]:
    """Join clauses to sentences of one to three, or all of them to one list."""
    if len(told) > 2 and rng.random() < _LIST_SHARE and not any(map(_APART.search, told)):
        return [str(rng.choice(plans()["list"]["heads"])).format(", ".join(told))]
    sentences: list[str] = []
    waiting: list[str] = []
    size = rng.choice((1, 2, 2, 3))
    for clause in told:
        if _APART.search(clause):
            sentences.append(clause)
            continue
        waiting.append(clause)
        if len(waiting) >= size:
            sentences.append(_joined(waiting, rng))
            waiting, size = [], rng.choice((1, 2, 2, 3))
    if waiting:
        sentences.append(_joined(waiting, rng))
    return sentences


def _joined(parts: list[str], rng: random.Random) -> str:
    contrast = len(parts) == 2 and all(_EVEN.match(part) for part in parts) and rng.random() < 0.3
    last = ", а " if contrast else ", "
    return ", ".join(parts[:-1]) + (last if len(parts) > 1 else "") + parts[-1]


def _concise(first: str, told: list[str], rng: random.Random) -> list[str]:
    """Return one or two sentences with everything."""
    if not told:
        return [first]
    rest = ("; " if any(map(_APART.search, told)) else ", ").join(told)
    if (
        len(told) > 1
        and " — " in told[0]
        and ":" not in rest + first
        and "." not in first
        and "," not in first
        and rng.random() < 0.3
    ):
        return [f"{first}: {rest}"]
    return [first, rest]


def _finished(sentence: str) -> str:
    text = sentence[:1].upper() + sentence[1:] if not sentence[:2].isascii() else sentence
    return text if text.endswith((".", "!", "?")) else f"{text}."
