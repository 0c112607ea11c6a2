"""A made-up listing: the card as a seller filled it in, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from training.made.catalogue import Param
from training.made.grammar import lemmas

Deal = Literal["sale", "service", "rent", "work", "wanted", "free"]
Tone = Literal["neutral", "friendly", "concise"]
TONES: Final[tuple[Tone, ...]] = ("neutral", "friendly", "concise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that the seller tells: in the title, in the card, or in both.

    `value` is what a description says, `shown` what the form shows; `label` is "" for a bare value. `several`
    are the parts of a list (what comes with it, what is wrong with it).
    """

    key: str
    value: str
    shown: str
    param: Param | None = None
    label: str = ""
    in_title: bool = False
    in_card: bool = False
    several: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What the seller typed (title, category, params, price), and the truth behind it.

    `thing` is what it is in truth, `name` what the seller calls it in dictionary form ("" if he left it
    out), with their head nouns. `brand` and `model`
    are the maker's spelling, `brand_typed` and `model_typed` the one to copy. `said` is the title without its
    typing errors. `plans` are ready first sentences of listings that have a fixed form (flats, cars).
    """

    title: str
    category: str
    params: tuple[tuple[str, str], ...]
    price: int | None
    deal: Deal
    thing: str = ""
    thing_head: str = ""
    name: str = ""
    head: str = ""
    plural: bool = False
    facts: tuple[Fact, ...] = ()
    brand: str = ""
    model: str = ""
    brand_typed: str = ""
    model_typed: str = ""
    said: str = ""
    plans: tuple[str, ...] = ()

    @property
    def price_text(self) -> str:
        """Return «8 500 ₽», or nothing."""
        return f"{self.price:,} ₽".replace(",", " ") if self.price else ""

    @cached_property
    def known(self) -> frozenset[str]:
        """Return the dictionary forms of every word that the card has, errors of typing mended."""
        typed = " ".join(part for pair in self.params for part in pair)
        return frozenset(lemmas(f"{self.said} {self.category} {typed}"))

    def fields(self, tone: Tone) -> dict[str, Any]:
        """Return what models/templates/describe.v2.jinja needs."""
        return {
            "title": self.title,
            "category": self.category,
            "params": [list(pair) for pair in self.params],
            "price": self.price_text,
            "tone": tone,
            "captions": [],
        }
