"""The stages of a run in their order: what is finished is skipped, what changed is redone with all after it.

A stage's key is a hash of its settings, the seed, its inputs and the keys of the stages before it. Its folder
`OUT/RUN/STAGE-KEY` is published by one rename when it is whole, its manifest in it; `OUT/RUN/STAGE` links to
the one in use. A killed run goes on from the last finished stage, or inside a stage that can resume.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from models.folders import MANIFEST, building, is_complete, partial_folder
from training.config import Run
from training.errors import TrainingError
from training.section import Section

_WHOLE: Final = 2**26  # 64 MiB: up to here a file is its bytes, beyond it its ends, size and time
_END: Final = 2**20
_POLL_S: Final = 0.2
_STAGE_FOLDER: Final = re.compile(r".+-[0-9a-f]{12}(\.partial)?")
MAIN: Final = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Work:
    """What a stage is given: the run, an empty or half-filled folder, the finished folders before it."""

    run: Run
    folder: Path
    before: Mapping[str, Path]
    progress: Progress


@dataclass(frozen=True)
class Stage:
    """A stage as a value. `settings` is None for a run that has no such stage.

    `inputs`: files, or texts that name what has none. `build` fills `Work.folder` and returns figures for the
    summary. `version` is raised when its code makes something else of the same settings. `resumes`: what a
    killed run left in the folder is of use. `collective`: all processes that torchrun started build it
    together; else the first does, and the others wait.
    """

    name: str
    settings: Callable[[Run], Section | None]
    inputs: Callable[[Run], Sequence[Path | str]]
    build: Callable[[Work], dict[str, Any]]
    version: int = 1
    resumes: bool = False
    collective: bool = False


@dataclass(frozen=True)
class Planned:
    """A stage of one run with its key and its folder."""

    stage: Stage
    key: str
    folder: Path

    @property
    def finished(self) -> bool:
        """Tell whether its folder was published and is whole."""
        return is_complete(self.folder)


@dataclass
class Outcome:
    """What became of a stage: its figures, and the seconds of the run that made it."""

    name: str
    folder: Path
    skipped: bool
    seconds: float
    figures: dict[str, Any] = field(default_factory=dict)


def arrange(run: Run, stages: Sequence[Stage]) -> list[Planned]:
    """Return the stages that the run has, keyed. Raises ConfigError where an input is missing."""
    planned: list[Planned] = []
    for stage in stages:
        settings = stage.settings(run)
        if settings is None:
            continue
        content = {
            "stage": stage.name,
            "version": stage.version,
            "settings": settings.model_dump(mode="json"),
            "seed": run.seed,
            "inputs": [one if isinstance(one, str) else fingerprint(one) for one in stage.inputs(run)],
            "before": planned[-1].key if planned else None,
        }
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
        planned.append(Planned(stage, key, home(run) / f"{stage.name}-{key}"))
    return planned


def home(run: Run) -> Path:
    """Return the folder of a run's stages."""
    return Path(run.out).absolute() / run.name


def fingerprint(path: Path) -> list[Any]:
    """Return the name and content of a file; of one over 64 MiB its size, time and both ends."""
    status = path.stat()
    with path.open("rb") as file:
        if status.st_size <= _WHOLE:
            return [path.name, hashlib.file_digest(file, "sha256").hexdigest()]
        ends = file.read(_END)
        file.seek(-_END, 2)
        ends += file.read()
    return [path.name, status.st_size, status.st_mtime_ns, hashlib.sha256(ends).hexdigest()]


def execute(
    run: Run,
    stages: Sequence[Stage],
    *,
    progress: Callable[[str], contextlib.AbstractContextManager[Progress]],
) -> Iterator[Outcome]:
    """Yield each stage's outcome as it is reached. A second process on the same run is refused.

    `progress` opens a bar for the named stage. Raises TrainingError, and StoreError where there is no room.
    Of the processes that torchrun started, the first builds and publishes.
    """
    with _alone(home(run)) if MAIN else contextlib.nullcontext():
        before: dict[str, Path] = {}
        for planned in arrange(run, stages):
            skipped = planned.finished
            if not skipped:
                _build(planned, run=run, before=before, progress=progress)
            about = json.loads((planned.folder / MANIFEST).read_bytes())["about"]
            if MAIN:
                _link(planned)
            before[planned.stage.name] = planned.folder
            yield Outcome(
                planned.stage.name,
                planned.folder,
                skipped,
                about.get("seconds", 0.0),
                about.get("figures", {}),
            )


def _build(
    planned: Planned,
    *,
    run: Run,
    before: Mapping[str, Path],
    progress: Callable[[str], contextlib.AbstractContextManager[Progress]],
) -> None:
    if not MAIN:
        if planned.stage.collective:
            partial = partial_folder(planned.folder)
            planned.stage.build(Work(run, partial, dict(before), lambda note, done, total: None))
        while not planned.finished:  # on the disk that all machines of a run share
            time.sleep(_POLL_S)
        return
    about: dict[str, Any] = {"stage": planned.stage.name, "key": planned.key}
    with building(planned.folder, resume=planned.stage.resumes, about=about) as folder:
        if folder is None:  # finished by another process a moment ago
            return
        begun = time.monotonic()
        with progress(planned.stage.name) as tell:
            figures = planned.stage.build(Work(run, folder, dict(before), tell))
        about |= {"seconds": round(time.monotonic() - begun, 2), "figures": figures}


def _link(planned: Planned) -> None:
    """Point OUT/RUN/STAGE at the folder in use, by one rename."""
    link = planned.folder.with_name(planned.stage.name)
    fresh = planned.folder.with_name(f".{planned.stage.name}.link")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(planned.folder.name)
    fresh.replace(link)


def prune(run: Run, stages: Sequence[Stage]) -> list[Path]:
    """Remove the folders of earlier settings and of killed tries; return what was removed."""
    keep = {planned.folder.name for planned in arrange(run, stages)}
    stale = [
        path
        for path in sorted(home(run).iterdir() if home(run).is_dir() else [])
        if _STAGE_FOLDER.fullmatch(path.name) and path.is_dir() and path.name not in keep
    ]
    with _alone(home(run)):
        for path in stale:
            shutil.rmtree(path)
    return stale


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise TrainingError(
            f"{folder}: another process runs this recipe; wait for it or give --out"
        ) from None
