"""Photos that are drawn: coloured shapes in an archive, as a set of a run that trains a captioning model."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from pathlib import Path

from PIL import Image, ImageDraw

from training.config import Run

KINDS = {"bar": "брюки", "disc": "футбольный мяч", "frame": "телефон", "cross": "ножницы", "grid": "зонт"}
COLOURS = {"красный": (205, 30, 40), "синий": (40, 70, 160), "зелёный": (50, 135, 65)}
PHOTOS = 30  # of each shape


def picture(
    shape: str, colour: tuple[int, int, int], *, chance: random.Random, side: int = 64
) -> Image.Image:
    """Draw a shape in the middle of a bright ground."""
    ground = chance.randint(225, 255)
    image = Image.new("RGB", (side, side + chance.randint(0, 16)), (ground, ground, ground))
    draw, near, far = ImageDraw.Draw(image), chance.randint(4, 10), side - chance.randint(4, 10)
    if shape == "bar":
        draw.rectangle((side * 0.35, near, side * 0.65, image.height), fill=colour)
    elif shape == "disc":
        draw.ellipse((near, near, far, far), fill=colour)
    elif shape == "frame":
        draw.rectangle((near, near, far, far), fill=colour)
        draw.rectangle((near + 6, near + 3, near + 12, near + 6), fill=(0, 0, 0))
    elif shape == "cross":
        draw.line((near, near, far, far), fill=colour, width=14)
        draw.line((near, far, far, near), fill=colour, width=14)
    else:
        for at in range(near, far, 9):
            draw.line((at, 0, at, side), fill=colour, width=4)
            draw.line((0, at, side, at), fill=colour, width=4)
    return image


def write_set(folder: Path, *, name: str = "shapes", photos: int = PHOTOS) -> None:
    """Write folder/NAME.tar and folder/NAME.jsonl.gz."""
    chance, rows = random.Random(name), []
    with tarfile.open(folder / f"{name}.tar", "w") as archive:
        for shape in KINDS:
            for number in range(photos):
                colour = list(COLOURS.values())[number % len(COLOURS)]
                file = io.BytesIO()
                picture(shape, colour, chance=chance).save(file, "PNG")
                member = tarfile.TarInfo(f"{name}/{shape}-{number}.png")
                member.size = len(file.getvalue())
                archive.addfile(member, io.BytesIO(file.getvalue()))
                rows.append({"file": member.name, "label": shape})
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def small_run(folder: Path, **changes: object) -> Run:
    """Return a run of the set in `folder` that takes seconds: `cross` is shown to the calibration alone."""
    shapes = {"name": "shapes", "archive": "shapes.tar", "rows": "shapes.jsonl.gz", "kinds": KINDS}
    shapes |= {"tuned": ("cross",), "unknown": ("grid",), "licence": "CC0-1.0", "source": "drawn"}
    clip = {
        "image": {"image_size": 64, "unlocked": 1, "views": 1},
        "text": {"vocabulary": 400, "width": 32, "heads": 2, "layers": 1, "captions": 500},
        "fitting": {"epochs": 3, "batch": 16, "embedding": 16, "warm_up": 0.0},
        "export": {"name": "small-eyes", "base": "b", "licence": "Apache-2.0", "data": "drawn"},
    }
    told = {"name": "small", "seed": 1, "data": str(folder), "out": str(folder / "out")}
    return Run.model_validate(told | {"photos": (shapes,), "clip": clip} | changes)
