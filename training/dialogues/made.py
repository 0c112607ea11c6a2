"""Made-up dialogues, so that a first run learns to answer without any data: /describe and a true description.

The goods stand in samples.toml; the prompt is the service's own (models/templates), to the letter.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from models.prompts import render
from training.dialogues.reading import Turn

PROMPT: Final = ("describe", "v1")
_WORDS: Final = Path(__file__).parents[1] / "samples.toml"
_STATES: Final = ("Новое", "Б/у")


def make_dialogues(number: int, *, name: str, seed: int) -> Iterator[list[Turn]]:
    """Yield so many dialogues with one trained answer each, the same ones for the same name and seed."""
    rng = random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    for _ in range(number):
        fields, answer = _listing(rng)
        turns = [Turn(message["role"], message["content"], False) for message in render(*PROMPT, fields)]
        yield [*turns, Turn("assistant", answer, True)]


def _listing(rng: random.Random) -> tuple[dict[str, Any], str]:
    """Return a listing's fields and a description that tells each of them and nothing else."""
    thing = rng.choice(_bank()["goods"])
    title = f"{thing['name']} {rng.choice(thing['brands'])}"
    colour, state = rng.choice(_bank()["words"]["colours"]), rng.choice(_STATES)
    facts = [fact.format(n=rng.randrange(2, 60)) for fact in rng.sample(thing["facts"], 2)]
    price = f"{rng.randrange(5, 600) * 100:,} ₽".replace(",", " ")
    fields = {
        "title": _begun(title),
        "category": "",
        "params": [("цвет", colour.capitalize()), ("состояние", state), *(("", fact) for fact in facts)],
        "price": price,
        "tone": "neutral",
        "captions": [],
    }
    told = [f"В продаже {title}", f"Цвет — {colour}, состояние — {state.lower()}"]
    return fields, ". ".join([*told, _begun(", ".join(facts)), f"Цена — {price}"]) + "."


@cache
def _bank() -> dict[str, Any]:
    return tomllib.loads(_WORDS.read_text(encoding="utf-8"))


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
