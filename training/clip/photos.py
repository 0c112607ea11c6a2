"""Photos of the sets of a run: read from their archives, each in its part, which hangs on the photo alone."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from PIL import Image

from training.clip.settings import Photos, Role
from training.errors import CorpusError

Part = Literal["train", "calibration", "test"]
TEST: Final = 20  # of 100 photos
CALIBRATION: Final = 10


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a set: `label` is the set's own word for it, `kind` that of the bank."""

    name: str
    label: str
    kind: str
    role: Role
    part: Part


def part_of(name: str) -> Part:
    """Return the part of a photo by the hash of its name: it stays, whatever is added beside it."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 100
    return "test" if share < TEST else "calibration" if share < TEST + CALIBRATION else "train"


def list_photos(sets: Sequence[Photos], *, data: Path) -> list[Photo]:
    """Return the photos of the sets in their order. Raises CorpusError where rows cannot be read."""
    return [photo for one in sets for photo in _listed(one, data=data)]


def _listed(photos: Photos, *, data: Path) -> Iterator[Photo]:
    for row in _rows(data / photos.rows):
        name, label = row["file"], row["label"]
        if kind := photos.kinds.get(label):
            role, part = photos.role(label), part_of(name)
            if role == "tuned":
                part = "calibration"
            elif role == "unknown":
                part = "test"
            yield Photo(f"{photos.name}/{name}", label, kind, role, part)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                yield {key: str(row[key]) for key in ("file", "label")}
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CorpusError(f"no row of a photo: {reason}", place=path, line=number or None) from error


def read_images(sets: Sequence[Photos], photos: Sequence[Photo], *, data: Path) -> Iterator[Image.Image]:
    """Yield the photos' pictures, RGB, in their order. Raises CorpusError."""
    archives: dict[str, tarfile.TarFile] = {}
    places = {one.name: data / one.archive for one in sets}
    try:
        for photo in photos:
            owner, _, name = photo.name.partition("/")
            if owner not in archives:
                archives[owner] = tarfile.open(places[owner])  # noqa: SIM115 (closed below, with the others)
            yield _image(archives[owner], name, place=places[owner])
    except (OSError, tarfile.TarError) as error:
        raise CorpusError(f"cannot be read: {error}", place=places[owner]) from error
    finally:
        for archive in archives.values():
            archive.close()


def _image(archive: tarfile.TarFile, name: str, *, place: Path) -> Image.Image:
    try:
        file = archive.extractfile(name)
        if file is None:
            raise CorpusError(f"{name} is no file", place=place)
        return Image.open(io.BytesIO(file.read())).convert("RGB")
    except (KeyError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise CorpusError(f"{name}: {error}", place=place) from error
