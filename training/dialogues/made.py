"""Made-up dialogues of the service's tasks: its own prompts (models/templates) with answers that are true."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

from models.prompts import prompt_versions, render
from training.dialogues.reading import Turn
from training.errors import ConfigError
from training.made.chats import make_replies
from training.made.describing import describe
from training.made.listing import Tone
from training.made.making import make_listings
from training.made.naming import make_namings
from training.made.reviews import make_clauses
from training.made.summaries import make_summaries

Pairs = Iterator[tuple[dict[str, Any], str]]  # a prompt's fields and the answer
_TONES: Final[tuple[Tone, ...]] = get_args(Tone)
_TONE_SHARES: Final = {"neutral": 0.6, "friendly": 0.2, "concise": 0.2}


def make_dialogues(number: int, *, prompt: str, name: str, seed: int) -> Iterator[list[Turn]]:
    """Yield so many dialogues with one trained answer each, the same ones for the same name and seed.

    `prompt`: a task with a version, as describe.v2. Raises ConfigError for one that nothing is made up for.
    """
    task, _, version = prompt.partition(".")
    if task not in MAKERS or version not in prompt_versions().get(task, ()):
        known = ", ".join(f"{one}.{last[-1]}" for one, last in prompt_versions().items() if one in MAKERS)
        raise ConfigError(f"dialogues {name}: nothing is made up for the prompt {prompt}; known are {known}")
    for fields, answer in MAKERS[task](number, name=name, seed=seed):
        asked = [Turn(one["role"], one["content"], False) for one in render(task, version, fields)]
        yield [*asked, Turn("assistant", answer, True)]


def _descriptions(number: int, *, name: str, seed: int) -> Pairs:
    rng = random.Random(f"{seed}/{name}/tones")  # noqa: S311 - no secret
    for listing in make_listings(number, name=name, seed=seed):
        tone = rng.choices(_TONES, [_TONE_SHARES[tone] for tone in _TONES])[0]
        yield listing.fields(tone), describe(listing, tone=tone, rng=rng)


def _sides(number: int, *, name: str, seed: int) -> Pairs:
    for text, side in make_clauses(number, name=name, seed=seed):
        yield {"text": text}, side


MAKERS: Final[Mapping[str, Callable[..., Pairs]]] = MappingProxyType(
    {
        "describe": _descriptions,
        "extract_model": make_namings,
        "review_aspects": _sides,
        "review_summary": make_summaries,
        "suggest_reply": make_replies,
    }
)
