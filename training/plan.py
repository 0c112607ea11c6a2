"""What a run will do, weigh and take, stage by stage, before anything is started (`--dry-run`)."""

from __future__ import annotations

from collections.abc import Sequence

from training.config import Run
from training.optimization import Training
from training.planned import optimizing, packing, preparing
from training.planned.looking import looking
from training.planned.wording import Row, span

__all__ = ["Row", "columns", "plan", "span"]


def plan(run: Run) -> list[Row]:
    """Return the rows of a run, by the names of its stages, and what its trainings add up to.

    Raises ConfigError where a size is neither found nor stated.
    """
    if run.clip:
        return looking(run, run.clip)
    early = [training for training in run.training if training.vocabulary == "base"]
    late = [training for training in run.training if training.vocabulary == "new"]
    rows = [preparing.corpus(run)]
    if run.tokenizer:
        rows.append(preparing.tokenizer(run))
    rows += _trained(run, early, suffix="-base")
    if run.embeddings:
        rows.append(preparing.embeddings(run))
    rows += _trained(run, late, suffix="")
    rows += [optimizing.export(run)] if run.export else []
    return rows + ([optimizing.total(run)] if run.training else [])


def _trained(run: Run, trainings: Sequence[Training], *, suffix: str) -> list[Row]:
    """Return the rows of the stages of one vocabulary: their data, then each of them."""
    rows = []
    for name, make, data in (
        ("packing", packing.packing, "documents"),
        ("dialogues", packing.dialogues, "dialogues"),
    ):
        if wanted := [training for training in trainings if training.data == data]:
            rows.append(make(run, wanted, name=name + suffix))
    return rows + [optimizing.training(run, training) for training in trainings]


def columns(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the rows as cells, in the order of the table."""
    return [(row.stage, row.what, row.size, row.memory, row.time) for row in rows]
