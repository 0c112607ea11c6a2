"""A made-up marketplace corpus with the dirt of a real one, so that a first run needs no data.

The good texts are those of training/made. Every planted fault is told in the document's metadata ("planted"),
which the tests hold against what the corpus stage drops.
"""

from __future__ import annotations

import random
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from training.config import Source
from training.made.chats import make_chats
from training.made.describing import describe
from training.made.making import make_listings
from training.made.reviews import make_clauses

DIRT: Final = {"duplicate": 0.04, "near_duplicate": 0.04, "contact": 0.06, "language": 0.03, "junk": 0.03}
BLOCK: Final = 500  # texts that are made up in one go, so that several processes share the work
_MEMORY: Final = 200  # of the last good documents: what duplicates are made from
_ENDLESS: Final = sys.maxsize


@cache
def _bank() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def make_texts(source: Source, *, seed: int) -> Iterator[tuple[str, str]]:
    """Yield `source.made` texts of the source's domain (listings, reviews, dialogues) with what is planted.

    The second text is empty for a good document, else a key of DIRT. The same seed gives the same texts.
    """
    for begin in range(0, source.made or 0, BLOCK):
        yield from make_block(source, begin=begin, seed=seed)


def make_block(source: Source, *, begin: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield the texts of `make_texts` from `begin` on, a multiple of BLOCK, to the block's end."""
    name = f"{source.name}/{begin}"
    rng = random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    makers = {"reviews": _reviews, "dialogues": _dialogues, "chats": _dialogues}
    fresh = makers.get(source.domain, _listings)(name, seed, rng)
    good: list[str] = []
    for _ in range(min(BLOCK, (source.made or 0) - begin)):
        fault = rng.choices([*DIRT, ""], [*DIRT.values(), 1 - sum(DIRT.values())])[0]
        if fault in {"duplicate", "near_duplicate"} and not good:
            fault = ""
        text = _faulty(fault, rng, good=good, fresh=fresh)
        if not fault:
            good = [*good[-_MEMORY:], text]
        yield text, fault


def _faulty(fault: str, rng: random.Random, *, good: list[str], fresh: Iterator[str]) -> str:
    words = _bank()
    match fault:
        case "duplicate":
            return rng.choice(good)
        case "near_duplicate":
            parts = rng.choice(good).split(" ")
            parts[rng.randrange(len(parts))] = rng.choice(["срочно", "сегодня", "недорого", "лично"])
            return " ".join(parts)
        case "contact":
            return f"{next(fresh)} {_contact(rng)}"
        case "language":
            return str(rng.choice(words["foreign"]))
        case "junk":
            return str(rng.choice(words["junk"]))
    return next(fresh)


def _contact(rng: random.Random) -> str:
    a, b, c, d = rng.randrange(900, 1000), rng.randrange(1000), rng.randrange(100), rng.randrange(100)
    shape = rng.choice(
        ["+7 {a} {b:03}-{c:02}-{d:02}", "8({a}){b:03}-{c:02}-{d:02}", "8{a}{b:03}{c:02}{d:02}"]
    )
    phone = shape.format(a=a, b=b, c=c, d=d)
    return rng.choice([f"Звоните {phone}.", f"Мой номер {phone}", f"Пишите на ivan{b}@mail.ru"])


def _listings(name: str, seed: int, rng: random.Random) -> Iterator[str]:
    for listing in make_listings(_ENDLESS, name=name, seed=seed):
        yield f"{listing.title}. {describe(listing, tone='neutral', rng=rng)}"


def _reviews(name: str, seed: int, rng: random.Random) -> Iterator[str]:
    clauses = make_clauses(_ENDLESS, name=name, seed=seed)
    while True:
        told = [next(clauses)[0] for _ in range(rng.randint(3, 7))]
        yield " ".join(f"{one[:1].upper()}{one[1:].rstrip('.')}." for one in told)


def _dialogues(name: str, seed: int, rng: random.Random) -> Iterator[str]:
    for chat, _, reply in make_chats(_ENDLESS, name=name, seed=seed):
        if chat.messages:
            yield "\n".join(f"— {text}" for text in [*(text for _, text in chat.messages), reply])
