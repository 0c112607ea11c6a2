"""Made-up summaries of reviews: every counted aspect is named, on its own side, and nothing else is said.

The service asks for one side at a time, so most rows have one.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import snowballstemmer

from training.made.cases import in_case

WHO: Final = ("Покупатели", "Клиенты")
NAMES_MAX: Final = 5  # a side, as many as the service gives to the model
_BOTH: Final = 0.25  # share of rows with praise and blame
_TWO_SENTENCES: Final = 0.3  # of the rows of one side that have enough names
_LISTS: Final = re.compile(r"\{(all|praised|blamed)(?::(\w+))?\}")
_OF_SEVERAL: Final = re.compile("нравятся|люсы|инусы")
_OF_ONE: Final = re.compile(r"\bи (?:на )?\{all")
_STEMMER: Final = snowballstemmer.stemmer("russian")


def make_summaries(number: int, *, name: str, seed: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield so many pairs of review_summary's fields and a summary; the same ones for the same seed."""
    rng = random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    for _ in range(number):
        both = rng.random() < _BOTH
        sides = ("praised", "blamed") if both else (rng.choice(("praised", "blamed")),)
        drawn = _unlike(rng)
        named = {side: drawn[at * NAMES_MAX :][: rng.randint(1, NAMES_MAX)] for at, side in enumerate(sides)}
        who = rng.choice(WHO)
        told = _both(named, rng) if both else _one_sided(sides[0], named[sides[0]], rng)
        fields = {
            side: [in_case(one, "accs") for one in named.get(side, ())] for side in ("praised", "blamed")
        }
        yield {"who": who, **fields}, _addressed(told, who)


@cache
def bank() -> Mapping[str, Any]:
    """Return what summaries.toml holds."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _unlike(rng: random.Random) -> list[str]:
    """Draw names for two sides, no two of which share a word: «кнопка», «кнопки»."""
    drawn: dict[str, str] = {}
    while len(drawn) < 2 * NAMES_MAX:
        name = rng.choice(bank()["names"])
        stems = _stems(name)
        if drawn.keys().isdisjoint(stems):
            drawn |= dict.fromkeys(stems[1:], "")
            drawn[stems[0]] = name
    return [name for name in drawn.values() if name][: 2 * NAMES_MAX]


def _both(named: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    return _filled(_fitting(bank()["plans"]["both"], named, rng), named)


def _one_sided(side: str, names: Sequence[str], rng: random.Random) -> str:
    """Return one sentence with all names, or two that share them."""
    plans = bank()["plans"]
    if len(names) < 3 or rng.random() > _TWO_SENTENCES:
        return _sentence(plans[side], names, rng)
    at = rng.randint(2, len(names) - 1)
    return f"{_sentence(plans[side], names[:at], rng)} {_sentence(plans[f'{side}_more'], names[at:], rng)}"


def _sentence(plans: Sequence[str], names: Sequence[str], rng: random.Random) -> str:
    named = {"all": names}
    return _filled(_fitting(plans, named, rng), named)


def _fitting(plans: Sequence[str], named: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    """Draw a plan whose cases suit the names: the service knows a name by its stems, in any case.

    «Нравятся» and «плюсы» want several names, «хвалят и …» wants one.
    """
    while True:
        plan = rng.choice(plans)
        wanted = [(one, match[2]) for match in _LISTS.finditer(plan) for one in named[match[1]] if match[2]]
        if any(not _suits(plan, len(names)) for names in named.values()):
            continue
        if all(_stems(one) == _stems(in_case(one, case)) for one, case in wanted):
            return plan


def _suits(plan: str, num_names: int) -> bool:
    return not (_OF_SEVERAL.search(plan) if num_names == 1 else _OF_ONE.search(plan))


def _filled(plan: str, named: Mapping[str, Sequence[str]]) -> str:
    if "{on_each}" in plan:
        plan = plan.replace("{on_each}", _listed([f"на {in_case(one, 'accs')}" for one in named["all"]]))
    return _LISTS.sub(
        lambda match: _listed([in_case(one, match[2] or "accs") for one in named[match[1]]]), plan
    )


def _addressed(text: str, who: str) -> str:
    people = {"Покупатели": "Покупателям", "Клиенты": "Клиентам"}[who]
    return text.replace("{who}", who).replace("{whom}", who.lower()).replace("{people}", people)


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} и {parts[-1]}" if len(parts) > 1 else parts[0]


def _stems(name: str) -> list[str]:
    return [_STEMMER.stemWord(word.replace("ё", "е")) for word in name.split(" ")]
