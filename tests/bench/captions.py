"""What the shipped eyes say of photos that they were not taught with, and whether they know when not to."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import VisionError
from models.eyes import CaptionCard, load_banks, load_caption_card
from models.store import default_cache, fetch
from models.vision import import_open_clip
from tests.bench.report import ROOT, Result, Skipped
from training.clip.calibrating import Settings
from training.clip.colour import measure
from training.clip.photos import Photo, list_photos, read_images
from training.config import Run, load_run

if TYPE_CHECKING:
    from training.clip.examination import Sight
    from training.clip.measuring import Share

CARD = "clip-small-ru"
RUN = ROOT / "training" / "runs" / "clip-small.toml"
DATA = ROOT.parent / "shared" / "data"
QUICK = 40  # photos


async def run(*, quick: bool) -> Result:
    """Show the test part to the model of the card, as open_clip loads it."""
    data = DATA
    told = load_run(RUN).model_copy(update={"data": str(data)})
    if not all((data / one.archive).exists() for one in told.photos):
        raise Skipped(f"the photos are not at {data / 'photos'}")
    try:
        import_open_clip()
    except VisionError as error:
        raise Skipped(str(error)) from error
    card = load_caption_card(CARD)
    sight = _sight(told, card, quick=quick)
    result = Result(
        compared=f"{len(sight.photos):,} photos of the test part (by a hash of the name; none was learnt or "
        f"calibrated with) through {card.name}: users' photos of clothes in 17 classes, product photos; what "
        "was not taught: whole classes left out of training; colour: as measured in the photo's middle; ± is "
        "the standard error"
    )
    _add(result, sight, card)
    return result


def _sight(told: Run, card: CaptionCard, *, quick: bool) -> Sight:
    from training.clip.examination import look
    from training.clip.ranking import Ranker

    banks, data = load_banks(card.banks), Path(told.data)
    photos = [photo for photo in list_photos(told.photos, data=data) if photo.part == "test"]
    photos = photos[:: max(1, len(photos) // QUICK)] if quick else photos
    folder = fetch(card.weights, sha256=card.weights_sha256, cache=default_cache())
    labels = {bank: list(settings.labels or ()) for bank, settings in card.calibration.items()}
    ranker = Ranker(folder, banks=banks, labels=labels)
    colours = _colours(told, photos)
    return look(ranker, photos, colours, sets=told.photos, data=data, banks=banks, tell=_tell)


def _colours(told: Run, photos: Sequence[Photo]) -> dict[str, str | None]:
    pictures = read_images(told.photos, photos, data=Path(told.data))
    return {photo.name: measure(picture) for photo, picture in zip(photos, pictures, strict=True)}


def _tell(done: int) -> None:
    print(f"  {done} photos", file=sys.stderr, flush=True)


def _add(result: Result, sight: Sight, card: CaptionCard) -> None:
    from training.clip.examination import errors_of_scores, shares

    settings: dict[str, Settings] = {
        bank: Settings(one.temperature, one.threshold, one.cosine) for bank, one in card.calibration.items()
    }
    labels: Mapping[str, Sequence[str]] = {bank: one.labels or () for bank, one in card.calibration.items()}
    targets = {
        "kind, first, clothing": 85,
        "kind, right where spoken of": 95,
        "category, right where spoken of": 95,
        "colour, right or near where spoken of": 95,
        "kind, silent on what was not taught": 90,
    }
    for name, one in shares(sight, settings, labels=labels, banks=load_banks(card.banks)).items():
        if one.n:
            _row(result, name, one, least=targets.get(name))
    for bank, error in errors_of_scores(sight, settings).items():
        result.add(f"{bank}, expected calibration error", 100 * error, "%")


def _row(result: Result, name: str, found: Share, *, least: float | None) -> None:
    told = f"{name} (n = {found.n:,}, ± {100 * found.stderr:.1f})"
    result.add(told, 100 * found.value, "%", least=least)
