"""The stages of a run that trains a captioning model, or takes one as it is, in their order.

Modules that need PyTorch are imported when their stage begins: a plan and --help need none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

from training.config import Run
from training.recipe import Stage, Work
from training.section import Section


def _build(module: str) -> Callable[[Work], dict[str, Any]]:
    def build(work: Work) -> dict[str, Any]:
        found: dict[str, Any] = importlib.import_module(f"training.clip.{module}").build(work)
        return found

    return build


def _bank_files(run: Run) -> list[Any]:
    from models.eyes import BANKS

    return [BANKS / f"{run.clip.banks}.toml"] if run.clip else []


def _photo_files(run: Run) -> list[Any]:
    """Return the sets' files. No bank is among them: other words for things change no features."""
    from training.clip.index import inputs

    return list(inputs(run))


def _model_files(run: Run) -> list[Any]:
    from training.clip.pretrained import inputs

    return list(inputs(run))


def _part(name: str) -> Callable[[Run], Section | None]:
    return lambda run: getattr(run.clip, name) if run.clip else None


def _learnt(name: str) -> Callable[[Run], Section | None]:
    """Return the settings of what a pretrained model does not need."""
    return lambda run: getattr(run.clip, name) if run.clip and not run.clip.pretrained else None


STAGES: Final = (
    Stage("photos", lambda run: Section() if run.clip else None, _photo_files, _build("index")),
    Stage("model", _part("pretrained"), _model_files, _build("pretrained"), resumes=True),
    Stage("features", _learnt("image"), lambda run: [], _build("features"), resumes=True),
    Stage("captions", _part("text"), _bank_files, _build("captions")),
    Stage("contrastive", _learnt("fitting"), _bank_files, _build("contrastive"), resumes=True),
    Stage("export", _part("export"), _bank_files, _build("export"), version=2),
)
