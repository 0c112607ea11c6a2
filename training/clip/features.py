"""The stage `features`: what the locked part of the tower makes of every photo, computed once.

A photo that is learnt has `views` random crops beside the whole of it, which is made ready as open_clip does
it later. A file holds the views of 64 photos and appears whole, so a killed run goes on behind the last.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from models.vision import import_open_clip
from training.clip import tower
from training.clip.index import read_index
from training.clip.photos import Photo, read_images
from training.clip.settings import ImageTower
from training.recipe import Work

CHUNK: Final = 64  # photos a file
BATCH: Final = 64  # views at a time
LIGHT: Final = 0.15  # of brightness and contrast, both ways: more would make another colour of it
RATIO: Final = 4 / 3  # of a crop's sides, both ways, relative to the photo's own


def build(work: Work) -> dict[str, Any]:
    """Fill the folder with the files of features and return figures."""
    assert work.run.clip
    settings, photos = work.run.clip.image, read_index(work.before["photos"])
    trunk = tower.create_trunk().to(memory_format=torch.channels_last)
    prepare = preprocess(settings.image_size)
    images = read_images(work.run.photos, photos, data=Path(work.run.data))
    size = 0
    for start in range(0, len(photos), CHUNK):
        some = photos[start : start + CHUNK]
        pictures = list(islice(images, len(some)))
        path = chunk_path(work.folder, start // CHUNK)
        if not path.exists():
            views = _views(some, pictures, settings=settings, seed=work.run.seed)
            _write(path, _features(trunk, map(prepare, views), unlocked=settings.unlocked))
        size += path.stat().st_size
        work.progress(f"{start + len(some):,} of {len(photos):,} photos", start + len(some), len(photos))
    return {"views": sum(count_views(one, settings) for one in photos), "MB": round(size / 1e6)}


def preprocess(image_size: int) -> Any:
    """Return open_clip's own way from a picture to 3 x S x S, as the exported folder tells it."""
    transform = import_open_clip().transform
    told = tower.preprocessing() | {"size": image_size, "mode": "RGB"}
    return transform.image_transform_v2(transform.PreprocessCfg(**told), is_train=False)


def is_learnt(photo: Photo) -> bool:
    """Tell whether a photo trains the model."""
    return photo.role == "taught" and photo.part == "train"


def count_views(photo: Photo, settings: ImageTower) -> int:
    """Return how many rows of features a photo has: the whole, and its crops if it is learnt."""
    return 1 + (settings.views if is_learnt(photo) else 0)


def chunk_path(folder: Path, number: int) -> Path:
    """Return the file of the photos from 64 * number on."""
    return folder / f"features-{number:05}.npy"


def _views(
    photos: Sequence[Photo], pictures: Sequence[Image.Image], *, settings: ImageTower, seed: int
) -> Iterator[Image.Image]:
    for photo, picture in zip(photos, pictures, strict=True):
        yield picture
        for number in range(1, count_views(photo, settings)):
            chance = random.Random(f"{seed}/{photo.name}/{number}")  # noqa: S311
            yield crop(picture, smallest=settings.smallest_crop, chance=chance)


def crop(picture: Image.Image, *, smallest: float, chance: random.Random) -> Image.Image:
    """Return a random part of a picture, of at least `smallest` of its area, a little lighter or darker."""
    share = chance.uniform(smallest, 1)
    ratio = math.exp(chance.uniform(-1, 1) * math.log(RATIO))
    width = min(1.0, math.sqrt(share * ratio))
    height = min(1.0, share / width)
    left, top = chance.uniform(0, 1 - width), chance.uniform(0, 1 - height)
    box = (left, top, left + width, top + height)
    across, down = picture.size
    sides = (across, down, across, down)
    west, north, east, south = (round(at * side) for at, side in zip(box, sides, strict=True))
    found = picture.crop((west, north, east, south))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        found = enhance(found).enhance(chance.uniform(1 - LIGHT, 1 + LIGHT))
    return found


@torch.inference_mode()
def _features(trunk: Any, inputs: Iterator[Tensor], *, unlocked: int) -> Any:
    found = []
    while some := list(islice(inputs, BATCH)):
        images = torch.stack(some).contiguous(memory_format=torch.channels_last)
        with tower.autocast():
            rows = tower.locked_features(trunk, images, unlocked=unlocked)
        found.append(rows.half().numpy())
    return np.concatenate(found)


def _write(path: Path, rows: Any) -> None:
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.save(file, rows)
    partial.replace(path)


class Features:
    """The rows that the stage has left, read from disk when they are asked for."""

    def __init__(self, folder: Path, photos: Sequence[Photo], *, settings: ImageTower) -> None:
        self._rows: list[tuple[int, int]] = []  # file, row of the whole photo
        self._counts = [count_views(photo, settings) for photo in photos]
        for start in range(0, len(photos), CHUNK):
            row = 0
            for count in self._counts[start : start + CHUNK]:
                self._rows.append((start // CHUNK, row))
                row += count
        numbers = range(-(-len(photos) // CHUNK))
        self._files = [np.load(chunk_path(folder, number), mmap_mode="r") for number in numbers]

    def whole(self, photos: Sequence[int]) -> Tensor:
        """Return the features of whole photos, by their numbers."""
        return self._read([self._rows[photo] for photo in photos])

    def drawn(self, photos: Sequence[int], *, chance: random.Random) -> Tensor:
        """Return features of photos, of a view by chance, turned left to right by chance."""
        places = []
        for photo in photos:
            file, row = self._rows[photo]
            places.append((file, row + chance.randrange(self._counts[photo])))
        found = self._read(places)
        if found.dim() == 4:  # a locked map turned over is that of the photo turned over, but for its rim
            turned = torch.tensor([chance.random() < 0.5 for _ in photos])
            found[turned] = found[turned].flip(3)
        return found

    def _read(self, places: Sequence[tuple[int, int]]) -> Tensor:
        rows = [self._files[file][row] for file, row in places]
        return torch.from_numpy(np.stack(rows)).float()
