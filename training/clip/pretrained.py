"""The stage `model`: the folder of an open_clip model that is taken as it is, from the Hub or from a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from models.eyes import CONFIG, WEIGHTS
from models.hub import download, forget_download
from models.locations import Hub, Local, parse
from training.config import Run
from training.errors import CheckpointError
from training.recipe import Work

MODEL: Final = "model"


def build(work: Work) -> dict[str, Any]:
    """Bring the folder. Raises CheckpointError for one that open_clip did not write, StoreError for none."""
    clip = work.run.clip
    assert clip
    assert clip.pretrained
    uri, folder = clip.pretrained.weights, work.folder / MODEL
    folder.mkdir(exist_ok=True)
    location = parse(uri)
    if isinstance(location, Hub):
        download(location, folder=folder, names=[CONFIG, WEIGHTS], bar=None)
        forget_download(folder)
    else:
        for path in _files(uri):
            (folder / path.name).unlink(missing_ok=True)
            (folder / path.name).symlink_to(path)
    if missing := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise CheckpointError(f"{uri} has no {missing[0]}: expected a folder of open_clip's Hub")
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {"files": len(list(folder.iterdir())), "MB": round(size / 1e6, 1)}


def inputs(run: Run) -> list[Path | str]:
    """Return the files of a folder of this machine; the Hub's are held by the revision."""
    return [*_files(run.clip.pretrained.weights)] if run.clip and run.clip.pretrained else []


def _files(uri: str) -> list[Path]:
    location = parse(uri)
    if not isinstance(location, Local):
        return []
    if not location.path.is_dir():
        raise CheckpointError(f"{uri}: {location.path} is no folder")
    return sorted(path for path in location.path.iterdir() if path.is_file() and path.name[0] != ".")
