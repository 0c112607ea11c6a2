"""The stage `photos`: every photo that can be read, with its part and its kind, one line each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from training.clip.photos import Photo, list_photos, read_images
from training.config import Run
from training.recipe import Work

INDEX: Final = "photos.jsonl"
_TELL: Final = 64  # photos between two steps of the bar


def build(work: Work) -> dict[str, Any]:
    """Write the index of all photos. Raises CorpusError where one cannot be read."""
    data, sets = Path(work.run.data), work.run.photos
    photos = list_photos(sets, data=data)
    for number, _ in enumerate(read_images(sets, photos, data=data)):
        if number % _TELL == 0:
            work.progress(f"{number:,} of {len(photos):,} photos", number, len(photos))
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in photos)
    (work.folder / INDEX).write_text(lines, encoding="utf-8")
    parts = Counter(photo.part for photo in photos if photo.role == "taught")
    roles = Counter(photo.role for photo in photos)
    return {
        "photos": len(photos),
        **{f"taught, {part}": count for part, count in sorted(parts.items())},
        "held out to calibrate": roles["tuned"],
        "held out as unknown": roles["unknown"],
    }


def read_index(folder: Path) -> list[Photo]:
    """Return the photos that the stage has left, in their order."""
    with (folder / INDEX).open(encoding="utf-8") as lines:
        return [Photo(**json.loads(line)) for line in lines]


def inputs(run: Run) -> list[Path | str]:
    """Return the files of the sets and what is said of them."""
    data = Path(run.data)
    files: list[Path | str] = [data / name for one in run.photos for name in (one.archive, one.rows)]
    return files + [one.model_dump_json() for one in run.photos]
