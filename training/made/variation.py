"""How people type: choices inside a wording, and the slips of a hurried hand."""

from __future__ import annotations

import random
import re
from typing import Final

_CHOICE: Final = re.compile(r"<([^<>]*)>")  # the inner ones first: «<очень <мягкий|лёгкий>|так себе>»
_SPACES: Final = re.compile(r" {2,}")
_BEFORE_MARK: Final = re.compile(r" +(?=[.,!?])")  # an empty choice leaves a space
_WORD: Final = re.compile(r"[а-яё]{5,}")
_ROWS: Final = ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю")
_NEIGHBOURS: Final = {
    letter: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in _ROWS for at, letter in enumerate(row)
}
_BY_EAR: Final = (
    ("тся", "ться"), ("ться", "тся"), ("сч", "щ"), ("ого", "ова"),
    ("о", "а"), ("и", "е"), ("нн", "н"), ("е", "и"),
)  # fmt: skip


def vary(wording: str, rng: random.Random) -> str:
    """Return a wording with one of each <a|b|> chosen; single spaces."""
    while match := _CHOICE.search(wording):
        wording = wording[: match.start()] + rng.choice(match[1].split("|")) + wording[match.end() :]
    return _BEFORE_MARK.sub("", _SPACES.sub(" ", wording)).strip()


def typed(text: str, rng: random.Random, *, slips: float) -> str:
    """Return a text as somebody types it; `slips` is the share of texts with a wrong word.

    Half of all lose ё and some get a capital; the words stay readable and none that denies is touched.
    """
    if rng.random() < 0.6:
        text = text.replace("ё", "е").replace("Ё", "Е")
    if rng.random() < slips:
        words = list(_WORD.finditer(text))
        if words:
            match = rng.choice(words)
            text = text[: match.start()] + _slip(match[0], rng) + text[match.end() :]
    chance = rng.random()
    if chance < 0.03:
        return text.upper()
    return text[:1].upper() + text[1:] if chance < 0.45 else text


def _slip(word: str, rng: random.Random) -> str:
    """Return the word with one slip after its first two letters, so that «не» and the root stay."""
    at = rng.randrange(2, len(word) - 1)
    kind = rng.randrange(5)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    if kind == 3:
        return word[:at] + rng.choice(_NEIGHBOURS.get(word[at], word[at])) + word[at + 1 :]
    for right, wrong in rng.sample(_BY_EAR, len(_BY_EAR)):
        if right in word[2:]:
            return word[:2] + word[2:].replace(right, wrong, 1)
    return word
