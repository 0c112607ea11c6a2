"""A made-up marketplace corpus with the dirt of a real one, so that a first run needs no data.

The words stand in samples.toml. Every planted fault is told in the document's metadata ("planted"), which the
tests hold against what the corpus stage drops.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from training.config import Source

DIRT: Final = {"duplicate": 0.04, "near_duplicate": 0.04, "contact": 0.06, "language": 0.03, "junk": 0.03}
_MEMORY: Final = 200  # of the last good documents: what duplicates are made from


@cache
def _bank() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def make_texts(source: Source, *, seed: int) -> Iterator[tuple[str, str]]:
    """Yield `source.made` texts of the source's domain (listings, reviews or dialogues) with what is planted.

    The second text is empty for a good document, else a key of DIRT. The same seed gives the same texts.
    """
    rng = random.Random(f"{seed}/{source.name}")  # noqa: S311 - no secret
    good: list[str] = []
    for _ in range(source.made or 0):
        fault = rng.choices([*DIRT, ""], [*DIRT.values(), 1 - sum(DIRT.values())])[0]
        if fault in {"duplicate", "near_duplicate"} and not good:
            fault = ""
        text = _faulty(fault, rng, good=good, domain=source.domain)
        if not fault:
            good = [*good[-_MEMORY:], text]
        yield text, fault


def _faulty(fault: str, rng: random.Random, *, good: list[str], domain: str) -> str:
    words = _bank()["words"]
    match fault:
        case "duplicate":
            return rng.choice(good)
        case "near_duplicate":
            parts = rng.choice(good).split(" ")
            parts[rng.randrange(len(parts))] = rng.choice(["срочно", "сегодня", "недорого", "лично"])
            return " ".join(parts)
        case "contact":
            return f"{_good(rng, domain=domain)} {_contact(rng)}"
        case "language":
            return str(rng.choice(words["foreign"]))
        case "junk":
            return str(rng.choice(words["junk"]))
    return _good(rng, domain=domain)


def _contact(rng: random.Random) -> str:
    a, b, c, d = rng.randrange(900, 1000), rng.randrange(1000), rng.randrange(100), rng.randrange(100)
    shape = rng.choice(
        ["+7 {a} {b:03}-{c:02}-{d:02}", "8({a}){b:03}-{c:02}-{d:02}", "8{a}{b:03}{c:02}{d:02}"]
    )
    phone = shape.format(a=a, b=b, c=c, d=d)
    return rng.choice([f"Звоните {phone}.", f"Мой номер {phone}", f"Пишите на ivan{b}@mail.ru"])


def _good(rng: random.Random, *, domain: str) -> str:
    bank = _bank()
    words, thing = bank["words"], rng.choice(bank["goods"])
    colour = rng.choice(words["colours"])
    name, brand = thing["name"], rng.choice(thing["brands"])
    facts = [fact.format(n=rng.randrange(2, 60)) for fact in rng.sample(thing["facts"], rng.randint(3, 5))]
    if domain == "dialogues":
        lines = [rng.choice(words["questions"]).replace("?", f" про {brand}?"), rng.choice(words["answers"])]
        lines += [rng.choice(words["questions"]), f"{rng.choice(words['answers'])} Ещё {facts[0]}."]
        return "\n".join(f"— {line}" for line in lines)
    if domain == "reviews":
        kept = [
            *rng.sample(words["praise"], rng.randint(1, 3)),
            *rng.sample(words["blame"], rng.randint(0, 2)),
        ]
        rng.shuffle(kept)
        told = ". ".join(part.capitalize() for part in [*kept, *facts[:2]])
        return f"Брали {brand} ({name}). {told}."
    deal = rng.choice(words["deals"]).format(metro=rng.choice(words["metro"]))
    said = [", ".join(facts).capitalize(), rng.choice(words["states"]), rng.choice(words["reasons"]), deal]
    rng.shuffle(said)
    opening = f"{rng.choice(words['openings'])}: {name} {brand}, цвет {colour}"
    return ". ".join([opening, *said[: rng.randint(2, 4)], f"Цена {rng.randrange(5, 600) * 100} руб"]) + "."
