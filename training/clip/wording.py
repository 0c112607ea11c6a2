"""Russian captions for a photo whose kind and colour are known: the bank's own phrases, and freer ones.

What a caption says is kept beside its text, so that in a batch a photo's caption can be told from one that
happens to be true of another photo too. Forms that cannot be inflected for sure are left out.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from models.eyes import Banks
from training.made.grammar import Noun, agree, inflect, noun

_PLURALS: Final = frozenset(
    {"брюки", "штаны", "джинсы", "шорты", "бриджи", "кроссовки", "ботинки", "туфли", "кеды"}
    | {"часы", "ролики", "коньки", "ножницы", "наушники"}
)
# {phrase}: nominative; {genitive}, {accusative}: that case; {adjective}: the colour agreed; {colour}: its
# genitive; {name}: its name.
KINDS: Final = ("{phrase}, фото продавца", "вот {phrase}", "фото {genitive}")
KINDS_TOO: Final = ("продаю {accusative}", "снимок {genitive}", "объявление: {phrase}", "это {phrase}")
COLOURED: Final = ("{adjective} {phrase}", "на фото {adjective} {phrase}", "фотография: {adjective} {phrase}")
COLOURED_TOO: Final = ("{phrase} {colour} цвета", "на фото {phrase} {colour} цвета", "{phrase}, цвет {name}")
COLOURS: Final = ("вещь {colour} цвета", "товар {colour} цвета", "{name} предмет на фото", "цвет: {name}")
_COLOUR: Final = Noun("цвет", "masc", animate=False)


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and what it says; None is what it leaves open."""

    text: str
    kind: str | None = None
    category: str | None = None
    colour: str | None = None

    def is_true_of(self, *, kind: str, category: str | None, colour: str | None) -> bool:
        """Tell whether all that it says is so. A photo without a colour has none of those said."""
        return (
            self.kind in (None, kind) and self.category in (None, category) and self.colour in (None, colour)
        )


class Captioner:
    """Draws captions from the banks kind, category and colour."""

    def __init__(self, banks: Banks) -> None:
        self._kinds, self._colours = banks.banks["kind"], banks.banks["colour"]
        self._categories = banks.banks.get("category")
        self._texts: dict[str, dict[str, tuple[str, ...]]] = {
            name: bank.texts() for name, bank in banks.banks.items()
        }

    def category(self, kind: str) -> str | None:
        """Return the category that the bank puts a kind into."""
        return self._kinds.items[kind].category

    def draw(self, kind: str, colour: str | None, *, chance: random.Random) -> Caption:
        """Return one caption that is true of a photo of this kind and colour."""
        about = chance.random()
        category = self.category(kind)
        if category and about < 0.15:
            return Caption(chance.choice(self._texts["category"][category]), category=category)
        if colour and about < 0.35:
            return Caption(chance.choice(self.of_colour(colour)), colour=colour)
        if colour and about < 0.65:
            return Caption(chance.choice(self.of_both(kind, colour)), kind=kind, colour=colour)
        return Caption(chance.choice(self.of_kind(kind)), kind=kind)

    def texts_of(self, bank: str, label: str) -> Sequence[str]:
        """Return all texts that say one label of a bank alone."""
        if bank == "category":
            return self._texts[bank][label]
        return self.of_kind(label) if bank == "kind" else self.of_colour(label)

    def of_kind(self, kind: str) -> list[str]:
        """Return all texts that say the kind alone."""
        phrases = self._kinds.items[kind].phrases
        free = _all((*KINDS, *KINDS_TOO), [_forms(phrase) for phrase in phrases])
        return [*self._texts["kind"][kind], *free]

    def of_colour(self, colour: str) -> list[str]:
        """Return all texts that say the colour alone."""
        names = self._colours.items[colour].phrases
        return [*self._texts["colour"][colour], *_all(COLOURS, [_colour_forms(name) for name in names])]

    def of_both(self, kind: str, colour: str) -> list[str]:
        """Return all texts that say the kind and the colour."""
        found = []
        for phrase in self._kinds.items[kind].phrases:
            for name in self._colours.items[colour].phrases:
                forms = _forms(phrase) | _colour_forms(name) | _agreed(name, phrase)
                found += _all((*COLOURED, *COLOURED_TOO), [forms])
        return found

    def every_text(self) -> list[str]:
        """Return all texts there are, for the tokenizer."""
        kinds, colours = self._kinds.items, self._colours.items
        both = [text for kind in kinds for colour in colours for text in self.of_both(kind, colour)]
        banks = [text for bank in self._texts.values() for texts in bank.values() for text in texts]
        alone = [text for kind in kinds for text in self.of_kind(kind)]
        return [*banks, *alone, *(text for colour in colours for text in self.of_colour(colour)), *both]


def _all(templates: tuple[str, ...], forms: list[dict[str, str]]) -> list[str]:
    """Return the templates with each of the forms, but for those that need a form that there is not."""
    found = []
    for one in forms:
        for template in templates:
            with contextlib.suppress(KeyError):
                found.append(template.format_map(one))
    return found


@cache
def _forms(phrase: str) -> dict[str, str]:
    first = phrase.split()[0].rstrip(",")
    plural = first in _PLURALS
    cases = {"genitive": inflect(phrase, "gent", plural=plural)}
    cases["accusative"] = inflect(phrase, "accs", plural=plural)
    return {"phrase": phrase} | {name: form for name, form in cases.items() if form}


@cache
def _colour_forms(name: str) -> dict[str, str]:
    genitive = agree(name, _COLOUR, "gent")
    return {"name": name} | ({"colour": genitive} if genitive else {})


@cache
def _agreed(name: str, phrase: str) -> dict[str, str]:
    """Return the colour agreed with the phrase's first word, which has to be the noun that it names."""
    first = phrase.split()[0].rstrip(",")
    head = noun(first, plural=first in _PLURALS)
    form = agree(name, head) if head else None
    return {"adjective": form} if form else {}
