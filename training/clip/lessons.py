"""What a step shows: a caption for each photo, which captions are true of which, a text for every label."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.eyes import Banks
from training.clip.photos import Photo
from training.clip.wording import Captioner
from training.errors import CorpusError


@dataclass(frozen=True)
class Lesson:
    """Texts: the captions of B photos, then one of each label of the banks.

    `true` [B, B]: whether the column's caption is true of the row's photo. `banks`: where a bank's texts
    begin and end, and the right one of each photo [B], -1 where it has none.
    """

    texts: list[str]
    true: Tensor
    banks: dict[str, tuple[int, int, Tensor]]


class Lessons:
    """Draws lessons. `labels`: of each bank those that photos of the training part have.

    Raises CorpusError for kinds that the bank does not have, or that are both taught and held out.
    """

    def __init__(self, photos: Sequence[Photo], colours: Mapping[str, str | None], *, banks: Banks) -> None:
        _check(photos, banks)
        self._captioner = Captioner(banks)
        self.kinds = [photo.kind for photo in photos]
        self.colours = [colours[photo.name] for photo in photos]
        taught = [at for at, photo in enumerate(photos) if photo.role == "taught" and photo.part == "train"]
        self.labels = {
            "kind": sorted({self.kinds[at] for at in taught}),
            "category": sorted({one for at in taught if (one := self._captioner.category(self.kinds[at]))}),
            "colour": sorted({one for at in taught if (one := self.colours[at])}),
        }
        self._bank_texts = banks.banks["kind"].texts()

    def bank_texts(self, kind: str) -> tuple[str, ...]:
        """Return the texts that stand for a kind when photos are ranked."""
        return self._bank_texts[kind]

    def answer(self, photo: int, bank: str) -> str | None:
        """Return what is right of a photo in a bank, None where nothing is known."""
        if bank == "colour":
            return self.colours[photo]
        return self.kinds[photo] if bank == "kind" else self._captioner.category(self.kinds[photo])

    def draw(self, photos: Sequence[int], *, chance: random.Random) -> Lesson:
        """Return a lesson of these photos."""
        drawn = [self._captioner.draw(self.kinds[at], self.colours[at], chance=chance) for at in photos]
        facts = [(self.kinds[at], self.answer(at, "category"), self.colours[at]) for at in photos]
        true = torch.tensor(
            [
                [one.is_true_of(kind=kind, category=category, colour=colour) for one in drawn]
                for kind, category, colour in facts
            ]
        )
        texts, banks = [one.text for one in drawn], {}
        for bank, labels in self.labels.items():
            right = [self.answer(at, bank) for at in photos]
            answers = torch.tensor([labels.index(one) if one in labels else -1 for one in right])
            banks[bank] = (len(texts), len(texts) + len(labels), answers)
            texts += [chance.choice(self._captioner.texts_of(bank, label)) for label in labels]
        return Lesson(texts, true, banks)


def _check(photos: Sequence[Photo], banks: Banks) -> None:
    taught = {photo.kind for photo in photos if photo.role == "taught"}
    if unknown := taught - banks.banks["kind"].items.keys():
        raise CorpusError(f"the bank of kinds has no {', '.join(sorted(unknown))}")
    if both := taught & {photo.kind for photo in photos if photo.role != "taught"}:
        raise CorpusError(f"{', '.join(sorted(both))}: is taught under another label, so it is not unknown")
    if len(taught) < 2:
        raise CorpusError("photos of fewer than two kinds teach nothing")
