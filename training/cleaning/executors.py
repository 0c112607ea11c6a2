"""Runs the phases of the corpus here, on Slurm or on Ray: one setting, the same steps."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TextIO

import multiprocess
from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from training.config import Executor
from training.errors import ConfigError, TrainingError

POLL_S: Final = 0.2
# Imported once by the fork server, not by every worker of every phase: 4 s a phase become 0.3 s.
PRELOADED: Final = ("training.cleaning.executors", "training.corpus")
_NOWHERE: Final[TextIO] = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - loguru keeps it


class Pending(TrainingError):
    """The phases were handed to a cluster; the same command goes on when they are through."""


@dataclass(frozen=True)
class Phase:
    """One pass over the documents, or one step between two passes, in `tasks` independent tasks."""

    name: str
    steps: Sequence[PipelineStep]
    tasks: int


class _Local(LocalPipelineExecutor):
    """A local executor whose tasks log into their files only: the terminal shows the progress bar."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        with contextlib.redirect_stderr(_NOWHERE):
            return super()._run_for_rank(rank, local_rank, node_rank)


def executors(phases: Sequence[Phase], settings: Executor, *, folder: Path) -> list[PipelineExecutor]:
    """Return one datatrove executor a phase, each depending on the one before; nothing runs yet."""
    made: list[PipelineExecutor] = []
    for number, phase in enumerate(phases):
        shared: dict[str, Any] = {
            "pipeline": list(phase.steps),
            "tasks": phase.tasks,
            "logging_dir": str(folder / "logs" / f"{number:02d}-{phase.name}"),
        }
        workers = min(settings.workers, phase.tasks)
        if settings.kind == "local":
            made.append(_Local(**shared, workers=workers))  # the phases are run in order: no `depends`
            continue
        shared["depends"] = made[-1] if made else None
        if settings.kind == "ray":
            made.append(
                RayPipelineExecutor(**shared, workers=workers, mem_per_cpu_gb=float(settings.memory_gb))
            )
            continue
        if settings.partition is None:
            raise ConfigError('[corpus.executor] kind = "slurm" needs a `partition`')
        made.append(
            SlurmPipelineExecutor(
                **shared,
                workers=workers,
                time=settings.time,
                partition=settings.partition,
                mem_per_cpu_gb=settings.memory_gb,
                job_name=phase.name,
                env_command=settings.setup,
                slurm_logs_folder=str(folder / "logs" / f"{number:02d}-{phase.name}" / "slurm"),
            )
        )
    return made


def launch(
    phases: Sequence[Phase],
    settings: Executor,
    *,
    folder: Path,
    progress: Callable[[str, int, int], None],
) -> dict[str, float]:
    """Run the phases that are not finished yet; return the seconds that each took this time.

    Finished tasks of an earlier, killed run are not done again. `progress` gets the phase's name, the number
    of its finished tasks and of all. On Slurm the jobs are submitted and Pending is raised until they are
    through. Raises TrainingError with the reason of the first task that failed.
    """
    logger.remove()
    multiprocess.set_start_method("forkserver", force=True)
    multiprocess.set_forkserver_preload(list(PRELOADED))
    made = executors(phases, settings, folder=folder)
    _check_place(settings)
    seconds: dict[str, float] = {}
    if settings.kind == "slurm":
        if any(executor.get_incomplete_ranks(skip_completed=True) for executor in made):
            made[-1].run()
            raise Pending(f"{len(made)} Slurm jobs are submitted; run the same command again when they end")
        return {phase.name: 0.0 for phase in phases}
    for phase, executor in zip(phases, made, strict=True):
        begun = time.monotonic()
        with _watched(phase, folder=Path(executor.logging_dir.path), progress=progress):
            _run(phase, executor)
        seconds[phase.name] = time.monotonic() - begun
    return seconds


def _run(phase: Phase, executor: PipelineExecutor) -> None:
    try:
        executor.run()
    except (TrainingError, OSError):
        raise
    except Exception as error:
        log = f"{executor.logging_dir.path}/logs"
        raise TrainingError(f"{phase.name}: {type(error).__name__}: {error} (see {log})") from error


def _check_place(settings: Executor) -> None:
    if settings.kind == "slurm" and shutil.which("sbatch") is None:
        raise ConfigError('[corpus.executor] kind = "slurm": there is no `sbatch` here; run on a login node')
    if settings.kind == "ray" and find_spec("ray") is None:
        raise ConfigError(
            "[corpus.executor] kind = \"ray\": Ray is not installed (pip install 'ray[default]')"
        )


@contextlib.contextmanager
def _watched(phase: Phase, *, folder: Path, progress: Callable[[str, int, int], None]) -> Iterator[None]:
    """Tell the progress by the files that finished tasks leave, until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            progress(phase.name, _num_finished(folder), phase.tasks)

    progress(phase.name, 0, phase.tasks)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    progress(phase.name, phase.tasks, phase.tasks)


def _num_finished(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return len(list((folder / "completions").iterdir()))
    return 0
