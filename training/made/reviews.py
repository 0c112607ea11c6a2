"""Made-up clauses of reviews, each with its side, so that the model learns to tell praise from blame.

Half praise, half blame; much of it in near pairs that one word tells apart («запаха нет», «вкуса нет»).
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from training.made.cases import about, agreed
from training.made.variation import typed, vary

PRAISES: Final = "хвалит"  # the two words of the prompt review_aspects
BLAMES: Final = "ругает"
CHARS_MAX: Final = 200  # of a clause that the service asks about
_KEYS: Final = MappingProxyType({PRAISES: "praise", BLAMES: "blame"})
_OTHER: Final = MappingProxyType({PRAISES: BLAMES, BLAMES: PRAISES})
_SLIPS: Final = 0.12  # share of clauses with a typing slip
_MARKS: Final = 0.06  # the service cuts clauses at marks; a few keep theirs
_Maker = Callable[[str, random.Random], str]


def make_clauses(number: int, *, name: str, seed: int) -> Iterator[tuple[str, str]]:
    """Yield so many clauses as people type them, each with PRAISES or BLAMES; the same for the same seed."""
    rng = random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    made = 0
    while made < number:
        side = rng.choice((PRAISES, BLAMES))
        text = _decorated(_clause(side, rng), side, rng)
        if len(text) <= CHARS_MAX:
            made += 1
            yield text, side


@cache
def bank() -> Mapping[str, Any]:
    """Return what reviews.toml holds."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _clause(side: str, rng: random.Random) -> str:
    maker = rng.choices([*_MAKERS], [*_MAKERS.values()])[0]
    return vary(maker(side, rng), rng)


def _told(side: str, rng: random.Random) -> str:
    """Return a whole clause of some aspect: «роняли не раз и хоть бы что»."""
    return _told_of(rng.choice(bank()["aspect"]), side, rng)


def _told_of(aspect: Mapping[str, Any], side: str, rng: random.Random) -> str:
    return str(rng.choice(aspect[_KEYS[side]]))


def _adjective(side: str, rng: random.Random) -> str:
    """Return an aspect with an adjective of its own, which a denial turns: «звук не чистый»."""
    return _described(rng.choice(bank()["aspect"]), side, rng)


def _described(aspect: Mapping[str, Any], side: str, rng: random.Random) -> str:
    frames, name, chance = bank()["with_adjective"], rng.choice(aspect["names"]), rng.random()
    if chance < 0.22:
        return _filled(rng.choice(frames["same"]), name, rng, adj=rng.choice(frames[_KEYS[side]]))
    if chance < 0.68:
        own, shapes = side, frames["same"]
    else:
        own = _OTHER[side]
        shapes = [*frames["turned"], *frames["turned_good" if own == PRAISES else "turned_bad"]]
    adjective = rng.choice(aspect["good" if own == PRAISES else "bad"])
    return _filled(rng.choice(shapes), name, rng, adj=adjective)


def _judged(side: str, rng: random.Random) -> str:
    name = rng.choice(rng.choice(bank()["aspect"])["names"])
    return _filled(rng.choice(bank()["said_of_all"][_KEYS[side]]), name, rng)


def _absent(side: str, rng: random.Random) -> str:
    absence = bank()["absence"]
    there = rng.random() < 0.4
    wanted = (side == PRAISES) == there
    thing = rng.choice(absence["wanted" if wanted else "unwanted"])
    return _filled(rng.choice(absence["some" if there else "none"]), thing, rng)


def _lasting(side: str, rng: random.Random) -> str:
    lasting = bank()["lasting"]
    when, what = ("so_long", "held") if side == PRAISES else ("after", "broke")
    parts = [rng.choice(lasting[when]), rng.choice(lasting[what])]
    return " ".join(parts if rng.random() < 0.7 else reversed(parts))


def _paired(side: str, rng: random.Random) -> str:
    return str(rng.choice(rng.choice(bank()["pair"])[_KEYS[side]]))


def _short(side: str, rng: random.Random) -> str:
    return str(rng.choice(bank()["short"][_KEYS[side]]))


def _two(side: str, rng: random.Random) -> str:
    """Return two or three clauses of one side, often of one aspect, as people run them together."""
    one, two = rng.choices(bank()["aspect"], k=2)
    aspects = [one, rng.choice((one, two)), *rng.choice(((), (), (one,)))]
    parts = [vary(rng.choice((_told_of, _described))(aspect, side, rng), rng) for aspect in aspects]
    return f" {rng.choice(('и', 'и', 'и ещё', 'да ещё и'))} ".join(dict.fromkeys(parts))


_MAKERS: Final[dict[_Maker, float]] = {
    _told: 0.3, _adjective: 0.25, _judged: 0.14, _absent: 0.09,
    _lasting: 0.05, _paired: 0.09, _short: 0.03, _two: 0.08,
}  # fmt: skip


def _filled(frame: str, name: str, rng: random.Random, *, adj: str = "") -> str:
    """Return a frame about a thing: its cases, what agrees with it, the adjective."""
    frame = vary(frame, rng)
    if adj:
        frame = frame.replace("{adj}", agreed(adj, name))
    return about(frame, name)


def _decorated(clause: str, side: str, rng: random.Random) -> str:
    """Put around a clause what changes no side, and type it."""
    around, key = bank()["around"], _KEYS[side]
    chance = rng.random()
    if chance < 0.08:
        clause = f"{rng.choice(around[f'{key}_turn'])} {clause}"
    elif chance < 0.17:
        clause = f"{rng.choice(around['before'])} {clause}"
    elif chance < 0.26:
        clause = f"{rng.choice(around['opening'])} {clause}"
    if rng.random() < 0.05:
        clause = f"{clause} {rng.choice(around['after'])}"
    text = typed(clause, rng, slips=_SLIPS)
    if rng.random() < _MARKS:
        text += rng.choice(("", " ")) + rng.choice(around[f"{key}_marks"])
    return text
