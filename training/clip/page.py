"""page.html: held-out photos with what the model says of them, chosen by chance, so good and bad ones.

It holds the photos themselves, so it stays in the run's folder and out of the repository.
"""

from __future__ import annotations

import base64
import html
import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import Tensor

from training.clip.calibrating import Settings, speaks
from training.clip.examination import Sight
from training.clip.photos import read_images
from training.recipe import Work

TAUGHT, STRANGE = 60, 24  # photos on the page
SIDE: Final = 180  # pixels of a photo on it
BEST: Final = 3  # labels a bank
_STYLE: Final = """body{font:15px/1.4 system-ui,sans-serif;margin:2rem;background:#fff;color:#222}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:1rem}
figure{margin:0;padding:.6rem;border:1px solid #ddd;border-radius:.4rem}figure.wrong{border-color:#c33}
img{display:block;height:180px;max-width:100%;object-fit:contain;margin:auto}b.wrong{color:#c33}.silent{color:#888}small{color:#666}"""


def write_page(
    work: Work,
    sight: Sight,
    settings: Mapping[str, Settings],
    *,
    labels: Mapping[str, Sequence[str]],
    path: Path,
) -> None:
    """Write the page of photos of the test part; the same seed chooses the same photos."""
    chance = random.Random(work.run.seed)  # noqa: S311
    taught = [at for at, one in enumerate(sight.photos) if one.role == "taught"]
    strange = [at for at, one in enumerate(sight.photos) if one.role != "taught"]
    parts = []
    for title, some, count in (
        ("Of what was taught", taught, TAUGHT),
        ("Of what was not taught: silence is right", strange, STRANGE),
    ):
        chosen = chance.sample(some, min(count, len(some)))
        pictures = read_images(work.run.photos, [sight.photos[at] for at in chosen], data=Path(work.run.data))
        cells = [
            _cell(sight, at, picture, settings=settings, labels=labels)
            for at, picture in zip(chosen, pictures, strict=True)
        ]
        parts.append(f"<h2>{title}</h2>\n<main>\n{''.join(cells)}</main>\n")
    name = html.escape(work.run.name)
    head = (
        f"<!doctype html>\n<meta charset=utf-8><title>{name}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{name}: held-out photos</h1>\n<p>Chosen by chance, seed {work.run.seed}. "
        "Bold: said in a caption; grey: not sure enough. "
        "Red: not the photo's label, or not its measured colour.</p>\n"
    )
    sources = "; ".join(f"{one.source} ({one.licence})" for one in work.run.photos)
    path.write_text(head + "".join(parts) + f"<p><small>Photos: {html.escape(sources)}</small>\n", "utf-8")


def _cell(
    sight: Sight,
    at: int,
    picture: Image.Image,
    *,
    settings: Mapping[str, Settings],
    labels: Mapping[str, Sequence[str]],
) -> str:
    photo, lines, wrong = sight.photos[at], [], False
    for bank, cosines in sight.cosines.items():
        row, answer = cosines[at], int(sight.answers[bank][at])
        says = bool(speaks(row[None], settings[bank]))
        mistaken = int(row.argmax()) != answer and (answer >= 0 or bank == "kind")
        wrong = wrong or (says and mistaken)
        lines.append(_line(row, labels[bank], settings[bank], says=says, mistaken=mistaken))
    return (
        f"<figure{' class=wrong' if wrong else ''}><img src='{_data(picture)}' alt=''>\n<figcaption>"
        f"{'<br>'.join(lines)}<br><small>label: {html.escape(photo.kind)}</small></figcaption></figure>\n"
    )


def _line(row: Tensor, labels: Sequence[str], settings: Settings, *, says: bool, mistaken: bool) -> str:
    scores = torch.softmax(row / settings.temperature, dim=0)
    best = scores.topk(min(BEST, len(labels)))
    told = [
        f"{html.escape(labels[at])} {score:.2f}"
        for score, at in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    first = (
        f"<b{' class=wrong' if mistaken else ''}>{told[0]}</b>"
        if says
        else f"<span class=silent>{told[0]}</span>"
    )
    return f"{first} <small>{', '.join(told[1:])}</small>"


def _data(picture: Image.Image) -> str:
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
