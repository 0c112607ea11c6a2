"""Held-out photos seen by an exported folder: cosines beside what is right, bank by bank.

Shapes: N photos, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.eyes import Banks
from training.clip.calibrating import Settings, calibrate, speaks
from training.clip.measuring import Share, by_class, calibration_error, share, spoken, top
from training.clip.photos import Photo, read_images
from training.clip.ranking import Ranker
from training.clip.settings import Handover, Photos

_AT_ONCE = 128  # photos between two steps of the bar


@dataclass(frozen=True)
class Sight:
    """Photos in their order, the cosines [N, L] of each bank, and the right columns [N], -1: none of them."""

    photos: Sequence[Photo]
    cosines: Mapping[str, Tensor]
    answers: Mapping[str, Tensor]

    def of(self, wanted: Callable[[Photo], bool]) -> Sight:
        """Return the part with the photos that are wanted."""
        at = torch.tensor([number for number, one in enumerate(self.photos) if wanted(one)], dtype=torch.long)
        return Sight(
            [self.photos[number] for number in at.tolist()],
            {bank: found[at] for bank, found in self.cosines.items()},
            {bank: found[at] for bank, found in self.answers.items()},
        )

    def known(self, bank: str) -> tuple[Tensor, Tensor]:
        """Return cosines and answers of the photos whose answer is among the labels."""
        known = self.answers[bank] >= 0
        return self.cosines[bank][known], self.answers[bank][known]

    def strange_classes(self, bank: str) -> list[str]:
        """Return what the photos of `strange` are of."""
        return [
            photo.kind for photo, strange in zip(self.photos, self._strange(bank), strict=True) if strange
        ]

    def strange(self, bank: str) -> Tensor:
        """Return the cosines of photos that have none of the labels. Of many colours is not strange."""
        return self.cosines[bank][self._strange(bank)]

    def _strange(self, bank: str) -> Tensor:
        none = torch.zeros(len(self.photos), dtype=torch.bool)
        return none if bank == "colour" else self.answers[bank] < 0


def right_labels(photo: Photo, colour: str | None, *, banks: Banks) -> dict[str, str | None]:
    """Return what is right of a photo, bank by bank."""
    item = banks.banks["kind"].items.get(photo.kind)
    return {"kind": photo.kind, "category": item.category if item else None, "colour": colour}


def look(
    ranker: Ranker,
    photos: Sequence[Photo],
    colours: Mapping[str, str | None],
    *,
    sets: Sequence[Photos],
    data: Path,
    banks: Banks,
    tell: Callable[[int], None] = lambda done: None,
) -> Sight:
    """Return what the model makes of photos. `tell` is called with the number of those done."""
    rows = []
    for start in range(0, len(photos), _AT_ONCE):
        some = photos[start : start + _AT_ONCE]
        rows.append(ranker.embed(read_images(sets, some, data=data)))
        tell(start + len(some))
    right = [right_labels(photo, colours[photo.name], banks=banks) for photo in photos]
    answers = {
        bank: torch.tensor([labels.index(one[bank]) if one[bank] in labels else -1 for one in right])  # type: ignore[arg-type]
        for bank, labels in ranker.labels.items()
    }
    return Sight(photos, ranker.cosines(torch.cat(rows)), answers)


def settings_of(
    sight: Sight, *, wanted: Handover, banks: Banks, labels: Mapping[str, Sequence[str]]
) -> dict[str, Settings]:
    """Return each bank's settings from photos of the calibration part."""
    return {
        bank: calibrate(
            *sight.known(bank),
            sight.strange(bank),
            classes=sight.strange_classes(bank),
            near=nearness(bank, banks=banks, labels=labels[bank]),
            precision=wanted.precision,
            abstained=wanted.abstained,
        )
        for bank in sight.cosines
    }


def nearness(bank: str, *, banks: Banks, labels: Sequence[str]) -> Tensor:
    """Return [L, L]: which labels are as good as which. Of colours those that the bank calls near.

    What is measured in pixels is itself no surer than that; of things only the label itself is right.
    """
    own = torch.eye(len(labels), dtype=torch.bool)
    if bank != "colour":
        return own
    known = banks.banks["colour"]
    return own | torch.tensor([[known.are_near(one, other) for other in labels] for one in labels])


def shares(
    sight: Sight,
    settings: Mapping[str, Settings],
    *,
    labels: Mapping[str, Sequence[str]],
    banks: Banks,
) -> dict[str, Share]:
    """Return the figures of photos of the test part, by name."""
    found: dict[str, Share] = {}
    for owner in sorted({photo.name.partition("/")[0] for photo in sight.photos}):
        cosines, answers = sight.of(_belongs_to(owner)).known("kind")
        found[f"kind, first, {owner}"] = share(top(cosines, answers))
        found[f"kind, among three, {owner}"] = share(top(cosines, answers, among=3))
        for name, one in by_class(cosines, answers, labels["kind"], among=1).items():
            found[f"kind, first, {owner}, {name}"] = one
        for name, one in by_class(cosines, answers, labels["kind"], among=3).items():
            found[f"kind, among three, {owner}, {name}"] = one
    for bank in sight.cosines:
        cosines, answers = sight.known(bank)
        said = spoken(cosines, answers, sight.strange(bank), settings[bank])
        found[f"{bank}, first, all sets"] = share(top(cosines, answers))
        found[f"{bank}, spoken of"] = said.coverage
        found[f"{bank}, right where spoken of"] = said.precision
        if said.abstained.n:
            found[f"{bank}, silent on what was not taught"] = said.abstained
            found |= _silent_by_class(sight, bank, settings[bank])
    cosines, answers = sight.known("colour")
    near = nearness("colour", banks=banks, labels=labels["colour"])[answers, cosines.argmax(1)]
    found["colour, first or near, all sets"] = share(near)
    found["colour, right or near where spoken of"] = share(near[speaks(cosines, settings["colour"])])
    return found


def _silent_by_class(sight: Sight, bank: str, settings: Settings) -> dict[str, Share]:
    silent, classes = ~speaks(sight.strange(bank), settings), sight.strange_classes(bank)
    return {
        f"{bank}, silent, not taught, {name}": share(silent[torch.tensor([one == name for one in classes])])
        for name in sorted(set(classes))
    }


def errors_of_scores(sight: Sight, settings: Mapping[str, Settings]) -> dict[str, float]:
    """Return each bank's calibration error."""
    return {
        bank: calibration_error(*sight.known(bank), temperature=settings[bank].temperature)
        for bank in sight.cosines
    }


def _belongs_to(owner: str) -> Callable[[Photo], bool]:
    return lambda photo: photo.name.partition("/")[0] == owner
