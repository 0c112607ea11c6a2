"""Rows of the plan of a run of photos. Speeds: two cores of an AMD EPYC with AVX-512, bf16, 256 pixels."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

from training.clip.settings import Clip, Photos
from training.config import Run
from training.errors import ConfigError
from training.planned.wording import Row, amount, count, span

LEARNT: Final = 0.62  # share of the photos: 70 % of those that are taught
EXAMINED: Final = 0.38
VIEWS_S: Final = 50.0  # through the locked part
READ_S: Final = 100.0  # photos decoded, their colour measured
TRAINED_S: Final = 60.0  # photos forwards and backwards, their captions with them
LOOKED_S: Final = 25.0  # photos through the whole model in 32 bits
TOWER_S: Final = 2.5  # and through a ViT-B-16 of 256 pixels, with AVX2
PIXELS: Final = 256 * 256  # of these speeds
_CHANNELS: Final = {0: 1280, 1: 192, 2: 112, 3: 80, 4: 40, 5: 24, 6: 16}  # of the locked part, by `unlocked`
_STRIDES: Final = {1: 32, 2: 16, 3: 16, 4: 8, 5: 4, 6: 2}


def looking(run: Run, clip: Clip) -> list[Row]:
    """Return the rows of all stages. Raises ConfigError where the photos are neither found nor counted."""
    photos = sum(_count(one, data=Path(run.data)) for one in run.photos)
    first = span(photos / 1e3)
    index = Row("photos", f"{len(run.photos)} sets, {photos:,} photos", "an index", "0.2 GB", first)
    read, examined = span(photos / READ_S), photos * EXAMINED
    if clip.pretrained:
        last = span(examined / TOWER_S)
        return [
            index,
            Row("model", clip.pretrained.weights, "the folder", "0.5 GB", "the network's"),
            Row("captions", "colours", "an index", "0.5 GB", read),
            Row("export", "its card, its figures and its page", "a page", "the model's", last),
        ]
    image, share = clip.image, clip.image.image_size**2 / PIXELS
    views = photos * (1 + LEARNT * image.views)
    epochs = clip.fitting.epochs * photos * LEARNT
    side = 1 if not image.unlocked else image.image_size // _STRIDES[image.unlocked]
    features = views * _CHANNELS[image.unlocked] * side**2 * 2
    what = f"{count(views)} views, the last {image.unlocked} stages of the tower unlocked"
    words = f"colours, {clip.text.vocabulary:,} tokens"
    seconds = (views / VIEWS_S * share, epochs / TRAINED_S * share, examined / LOOKED_S * share)
    return [
        index,
        Row("features", what, amount(features), "1 GB", span(seconds[0])),
        Row("captions", words, "an index", "0.5 GB", read),
        Row("contrastive", f"{clip.fitting.epochs} epochs", amount(2.2e7), "1.5 GB", span(seconds[1])),
        Row("export", "the folder, its figures and its page", amount(1.2e7), "1 GB", span(seconds[2])),
    ]


def _count(photos: Photos, *, data: Path) -> int:
    if photos.count is not None:
        return photos.count
    try:
        with gzip.open(data / photos.rows, "rt", encoding="utf-8") as lines:
            return sum(1 for _ in lines)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"photos {photos.name}: {error}; for a plan without the files give their `count`"
        ) from None
