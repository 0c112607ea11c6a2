"""What one photo shows, as labels with scores and in Russian words: «синяя толстовка с капюшоном»."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from models.eyes import Bank, BankName, Banks, BankSettings, Item
from service.morphology import agreed

__all__ = ["Captions", "Cosines", "Label", "Look"]

Cosines: TypeAlias = "array[float]"  # of one photo to each of `Captions.texts`; float32

_THING = "предмет"  # what is seen but not recognised


@dataclass(frozen=True, slots=True)
class Label:
    """What a photo shows; `score` is the calibrated probability among the bank's labels."""

    bank: BankName
    name: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One photo seen: at most one label a bank. `reason`: the code of why it was not looked at."""

    labels: tuple[Label, ...] = ()
    text: str | None = None
    reason: str | None = None


class Captions:
    """The words of one card: its banks, and how sure it has to be of each."""

    def __init__(self, banks: Banks, calibration: Mapping[BankName, BankSettings]) -> None:
        self.banks: Mapping[BankName, Bank] = banks.banks
        self.elsewhere = banks.elsewhere
        self._calibration = calibration
        self._offered: dict[BankName, tuple[str, ...]] = {
            name: settings.labels or tuple(self.banks[name].items) for name, settings in calibration.items()
        }

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """Return the texts of every label that the model may say, in the order of the cosines."""
        return [self.banks[bank].texts()[name] for bank, names in self._offered.items() for name in names]

    def category_of(self, label: Label) -> str | None:
        """Return the category to which a label belongs; most banks' labels belong to none."""
        return label.name if label.bank == "category" else self.banks[label.bank].items[label.name].category

    def look(self, cosines: Cosines) -> Look:
        """Read one photo's cosines to `texts`; a bank that is not sure, or not calibrated, says nothing."""
        labels = []
        start = 0
        for bank, names in self._offered.items():
            own = cosines[start : start + len(names)]
            start += len(names)
            settings = self._calibration[bank]
            best = max(range(len(own)), key=own.__getitem__)
            score = _softmax_of(best, own, temperature=settings.temperature)
            if score >= settings.threshold and own[best] >= settings.cosine:
                labels.append(Label(bank, names[best], score))
        return Look(labels=tuple(labels), text=self.text({label.bank: label.name for label in labels}))

    def text(self, names: Mapping[BankName, str]) -> str | None:
        """Say labels, one a bank at most, in words: «синяя рубашка в клетку, из хлопка; вид сзади»."""
        said = {bank: self.banks[bank].items[name] for bank, name in names.items()}
        noun = said.get("kind") or said.get("category")
        noun_name = names.get("kind") or names.get("category") or _THING
        adjectives = [names[bank] for bank in said if self.banks[bank].form == "adjective"]
        after = self._said(names, form="after")
        apart = self._said(names, form="apart")
        parts = []
        if noun or adjectives or after:
            thing = _caption(noun_name, noun)
            head = (noun.head if noun else None) or thing.split()[0]
            phrase = " ".join([*(agreed(one, head) for one in adjectives), thing])
            parts.append(" ".join([phrase, ", ".join(after)]).rstrip())
        return "; ".join([*parts, *apart]) or None

    def _said(self, names: Mapping[BankName, str], *, form: str) -> list[str]:
        """Return the captions of one form; some labels («однотонный») are known but not worth a word."""
        found = [
            _caption(names[bank], self.banks[bank].items[names[bank]])
            for bank in self.banks
            if bank in names and self.banks[bank].form == form
        ]
        return [one for one in found if one]


def _caption(name: str, item: Item | None) -> str:
    return name if item is None or item.caption is None else item.caption


def _softmax_of(index: int, cosines: Sequence[float], *, temperature: float) -> float:
    """Return the softmax of one entry, the largest, which keeps every exponent below 1."""
    return 1 / sum(math.exp((one - cosines[index]) / temperature) for one in cosines)
