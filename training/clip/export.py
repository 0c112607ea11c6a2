"""The stage `export`: a folder that open_clip loads, what it is worth on held-out photos, its card, a page.

NAME/ becomes models/weights/NAME/, NAME.toml models/cards/eyes/NAME.toml; page.html is for a person. Of a
pretrained model no folder is written: its card names where it came from, with the sha256 of what came.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from models.card import Evaluation
from models.eyes import CONFIG, WEIGHTS, BankSettings, CaptionCard, load_banks, load_caption_card
from training.clip import tower
from training.clip.calibrating import Settings
from training.clip.captions import TOKENIZER, read_colours
from training.clip.contrastive import MODEL
from training.clip.examination import errors_of_scores, look, settings_of, shares
from training.clip.index import read_index
from training.clip.lessons import Lessons
from training.clip.measuring import Share
from training.clip.page import write_page
from training.clip.pretrained import MODEL as PRETRAINED
from training.clip.ranking import Ranker
from training.config import Run
from training.handover.passport import to_toml
from training.handover.surroundings import commit, hardware
from training.recipe import Work

PAGE: Final = "page.html"
FIGURES: Final = "figures.json"
_PLACE: Final = "models/weights"  # from the repository's root
_COMMAND: Final = "python -m training run training/runs/{name}.toml"


def build(work: Work) -> dict[str, Any]:
    """Write the folder, card, figures and page, and return the chief figures."""
    clip = work.run.clip
    assert clip
    banks = load_banks(clip.banks)
    folder = work.before["model"] / PRETRAINED if clip.pretrained else work.folder / clip.export.name
    if not clip.pretrained:
        _write_model(work, folder)
    photos = [one for one in read_index(work.before["photos"]) if one.part != "train"]
    colours = read_colours(work.before["captions"])
    labels = Lessons(read_index(work.before["photos"]), colours, banks=banks).labels
    sight = look(
        Ranker(folder, banks=banks, labels=labels),
        photos,
        colours,
        sets=work.run.photos,
        data=Path(work.run.data),
        banks=banks,
        tell=lambda done: work.progress("looking", done, len(photos)),
    )
    settings = settings_of(
        sight.of(lambda one: one.part == "calibration"), wanted=clip.export, banks=banks, labels=labels
    )
    test = sight.of(lambda one: one.part == "test")
    found, errors = shares(test, settings, labels=labels, banks=banks), errors_of_scores(test, settings)
    rows = _rows(work.run, found, errors)
    _write_card(_card(work, folder, settings, labels=labels, rows=rows), work.folder)
    _write_figures(work.folder, found, errors, settings)
    write_page(work, test, settings, labels=labels, path=work.folder / PAGE)
    size = sum(path.stat().st_size for path in folder.iterdir())
    chief = {name: str(one) for name, one in found.items() if is_chief(name)}
    return {
        "MB": round(size / 1e6, 1),
        **chief,
        **{f"{name}, ECE": round(one, 3) for name, one in errors.items()},
    }


def _write_model(work: Work, folder: Path) -> None:
    """Write the layout of open_clip's hub: 16-bit weights, which it widens when it loads them."""
    clip = work.run.clip
    assert clip
    folder.mkdir()
    shutil.copytree(work.before["captions"] / TOKENIZER, folder, dirs_exist_ok=True)
    for path in folder.glob("*.json"):  # they lie in the repository: a text ends with a newline there
        path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n", encoding="utf-8")
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    told = json.dumps(tower.config(clip, vocabulary=vocabulary), indent=2)
    (folder / CONFIG).write_text(told + "\n", encoding="utf-8")
    weights = load_file(work.before["contrastive"] / MODEL)
    save_file(
        {name: one.half() if one.is_floating_point() else one for name, one in weights.items()},
        folder / WEIGHTS,
    )


def _card(
    work: Work,
    folder: Path,
    settings: Mapping[str, Settings],
    *,
    labels: Mapping[str, list[str]],
    rows: Sequence[Evaluation],
) -> CaptionCard:
    clip = work.run.clip
    assert clip
    told = clip.export
    calibration: dict[Any, BankSettings] = {
        bank: BankSettings(**asdict(found), labels=tuple(labels[bank])) for bank, found in settings.items()
    }
    return CaptionCard(
        name=told.name,
        base=told.base,
        licence=told.licence,
        licence_url=told.licence_url,
        data=told.data,
        notes=told.notes,
        weights=clip.pretrained.weights if clip.pretrained else f"file://{_PLACE}/{told.name}",
        weights_sha256={path.name: _sha256(path) for path in sorted(folder.iterdir())},
        banks=clip.banks,
        calibration=calibration,
        evaluation=tuple(rows),
        git_sha=commit(),
    )


def _rows(run: Run, found: Mapping[str, Share], errors: Mapping[str, float]) -> list[Evaluation]:
    """Return what the card says of the model; single classes stay in figures.json."""
    figures = [
        (name, one.value, one.n, one.stderr) for name, one in found.items() if one.n and is_chief(name)
    ]
    calibration = [(f"{bank}, expected calibration error", one, None, None) for bank, one in errors.items()]
    return [
        Evaluation(
            name=name,
            value=round(value, 4),
            n=n,
            stderr=None if stderr is None else round(stderr, 4),
            command=_COMMAND.format(name=run.name),
            commit=commit(),
            hardware=hardware(),
            date=datetime.datetime.now(datetime.UTC).date(),
        )
        for name, value, n, stderr in (*figures, *calibration)
    ]


def is_chief(name: str) -> bool:
    """Tell whether a figure is of more than one class."""
    return name.count(",") < 3  # kind, first, clothing | kind, first, clothing, футболка


def _write_card(card: CaptionCard, folder: Path) -> None:
    path = folder / f"{card.name}.toml"
    path.write_text(to_toml(card.model_dump(mode="json", exclude_none=True, exclude_defaults=True)), "utf-8")
    assert load_caption_card(path) == card, "what is written is what was meant"


def _write_figures(
    folder: Path, found: Mapping[str, Share], errors: Mapping[str, float], settings: Mapping[str, Settings]
) -> None:
    told = {
        "shares": {
            name: {"value": one.value, "n": one.n, "stderr": one.stderr} for name, one in found.items()
        },
        "calibration errors": dict(errors),
        "settings": {bank: asdict(one) for bank, one in settings.items()},
    }
    (folder / FIGURES).write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
