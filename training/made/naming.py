"""Made-up listings with the brand and the models that they name: data for the prompt extract_model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from training.made.bestsellers import popular, worded
from training.made.catalogue import CATALOGUE
from training.made.describing import describe
from training.made.listing import TONES
from training.made.named import elsewhere, one, series, several
from training.made.shelf import Ad, Shelf, shelf_of
from training.made.unnamed import accessory, unnamed

READ_CHARS: Final = 600  # of a description, as the service gives
_DESCRIBED_SHARE: Final = 0.5
_CUT_SHARE: Final = 0.3  # of descriptions of which the first sentence is left
Maker = Callable[[Shelf, random.Random], Ad]
KINDS: Final[Mapping[Maker, int]] = {
    one: 38, popular: 14, unnamed: 20, worded: 8, series: 8, accessory: 8, several: 4, elsewhere: 5,
}  # fmt: skip


def make_namings(
    number: int, *, name: str, seed: int, folder: Path = CATALOGUE
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield so many pairs of extract_model's fields and the JSON answer; the same ones for the same seed."""
    rng = random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    shelf = shelf_of(folder)
    for _ in range(number):
        maker = rng.choices([*KINDS], [*KINDS.values()])[0]
        ad = maker(shelf, rng)
        yield _fields(ad, rng), _answer(ad)


def _answer(ad: Ad) -> str:
    return json.dumps({"brand": ad.brand, "models": [*ad.models]}, ensure_ascii=False, separators=(",", ":"))


def _fields(ad: Ad, rng: random.Random) -> dict[str, Any]:
    listing = ad.listing
    told: dict[str, tuple[str, str]] = {}
    for label, value in listing.params:  # the service tells a value once
        told.setdefault(f"{label} {value}" if value.isdigit() else value.lower(), (label, value))
    return {
        "title": listing.title,
        "category": listing.category,
        "params": [*told.values()],
        "description": _description(ad, rng),
    }


def _description(ad: Ad, rng: random.Random) -> str:
    """Return the beginning of a description, or nothing."""
    if rng.random() > _DESCRIBED_SHARE and not ad.hidden:
        return ""
    if ad.bare or not (ad.listing.thing or ad.listing.plans):
        return ad.told
    text = describe(ad.listing, tone=rng.choice(TONES), rng=rng)
    if rng.random() < _CUT_SHARE:
        text = text.split(". ")[0].removesuffix(".") + "."
    return f"{text} {ad.told}".strip()[:READ_CHARS]
