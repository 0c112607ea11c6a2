"""Checkpoint folders on disk: whole or not at all, named by step, every byte of them held by a checksum.

`step-00000100/` holds the files of torch.distributed.checkpoint and a manifest: facts, identity of the run,
size and xxh3-128 of each file, a checksum of itself. It is filled as `.step-00000100.partial`, which no
listing shows, and published by one rename. What is removed goes back to such a name first.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xxhash

from models.folders import flush

MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(r"step-(\d{8,})")

Stamp = tuple[int, str]  # size in bytes, xxh3-128


@dataclass(frozen=True)
class Found:
    """A checkpoint on disk: `facts` as saved, `identity` of the run that saved it, `files` by name."""

    step: int
    folder: Path
    facts: Mapping[str, Any]
    identity: Mapping[str, Any]
    files: Mapping[str, Stamp]


def folder_of(step: int, *, root: Path) -> Path:
    """Return where the checkpoint of a step lies."""
    return root / f"step-{step:08d}"


def partial_of(step: int, *, root: Path) -> Path:
    """Return where the checkpoint of a step is filled, or emptied."""
    return root / f".step-{step:08d}.partial"


def publish(found: Found, *, partial: Path) -> None:
    """Make what `partial` holds visible at `found.folder`; one that lies there gives way."""
    content = {"facts": found.facts, "identity": found.identity, "files": found.files}
    sealed = _canonical({"content": content, "xxh3": xxhash.xxh3_128_hexdigest(_canonical(content))})
    (partial / MANIFEST).write_text(sealed, encoding="utf-8")
    for path in (partial / MANIFEST, partial):
        flush(path)
    aside = partial.with_name(f"{partial.name}.before")
    if found.folder.exists():  # damaged, or left behind by a rewind
        found.folder.rename(aside)
    partial.rename(found.folder)
    flush(found.folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def listing(root: Path) -> tuple[list[Found], dict[int, str]]:
    """Return the checkpoints whose files have their sizes, by step; and what is wrong with the others."""
    whole, damaged = {}, {}
    for folder in root.glob("step-*"):
        if match := _NAME.fullmatch(folder.name):
            try:
                whole[int(match[1])] = _read(folder, step=int(match[1]))
            except (OSError, ValueError) as error:
                damaged[int(match[1])] = str(error)
    return [whole[step] for step in sorted(whole)], damaged


def _read(folder: Path, *, step: int) -> Found:
    """Return the checkpoint in a folder. Raises ValueError or OSError that names the file in question."""
    path = folder / MANIFEST
    try:
        stored = json.loads(path.read_bytes())
        content = stored["content"]
        if xxhash.xxh3_128_hexdigest(_canonical(content)) != stored["xxh3"]:
            raise ValueError("its checksum is another")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    files: dict[str, Stamp] = content["files"]
    for name, (size, _) in files.items():
        if (here := (folder / name).stat().st_size) != size:
            raise ValueError(f"{folder / name} has {here:,} bytes instead of {size:,}")
    return Found(step, folder, content["facts"], content["identity"], files)


def discard(steps: Iterable[int], *, root: Path) -> None:
    """Remove the checkpoints of these steps; a kill in between leaves a partial, not a damaged one."""
    for step in steps:
        partial = partial_of(step, root=root)
        shutil.rmtree(partial, ignore_errors=True)
        if (folder := folder_of(step, root=root)).exists():
            folder.rename(partial)
            shutil.rmtree(partial, ignore_errors=True)


def prepare(root: Path) -> None:
    """Make the folder of checkpoints; remove what killed runs left in it half-written or half-removed."""
    root.mkdir(parents=True, exist_ok=True)
    for path in root.glob(".step-*.partial*"):
        shutil.rmtree(path, ignore_errors=True)


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False)
