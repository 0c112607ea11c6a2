"""The export's card and its deployment: what the service reads to serve it."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from models.card import Card, Evaluation, TaskSettings, load_card
from training.config import Run
from training.handover.surroundings import commit, hardware

DEPLOYMENT: Final = "deployment.toml"
_MEASURED: Final = "bits a character"


def make_card(
    run: Run,
    *,
    folder: Path,
    published: Path,
    shards: Sequence[Path],
    fingerprint: str,
    rows: int,
    context: int,
    tasks: dict[str, TaskSettings],
    figures: Mapping[str, Any],
    measured: datetime.date,
) -> Card:
    """Return the card of what is in `folder` and will be in `published`; `figures`: of the last training."""
    assert run.export is not None and run.base is not None, (
        "a run with [export] has a training, and so a base"
    )
    sha, where = commit(), hardware()
    rows_measured = tuple(
        Evaluation(name=name, value=value, commit=sha, hardware=where, date=measured)
        for name, told in figures.items()
        if name.startswith(_MEASURED) and (value := _number(told)) is not None
    )
    return Card(
        name=run.export.name,
        base=run.base.checkpoint,
        licence=run.export.licence,
        licence_url=run.export.licence_url,
        data=run.export.data,
        notes=run.export.notes,
        weights=f"file://{quote(str(published))}",
        weights_sha256={path.name: _sha256(path) for path in shards},
        format="hf",
        tokenizer_sha256=_sha256(folder / "tokenizer.json"),
        tokenizer_fingerprint=fingerprint,
        vocab_size=rows,
        context_length=context,
        tasks=tasks,
        evaluation=rows_measured,
        git_sha=sha,
    )


def write_card(card: Card, *, folder: Path, published: Path) -> None:
    """Write NAME.toml and the deployment of this one version. The card is read back."""
    path = folder / f"{card.name}.toml"
    content = card.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    path.write_text(to_toml(content), encoding="utf-8")
    assert load_card(path) == card, "what is written is what was meant"
    live = {"card": str(published / path.name), "engines": ["local"]}
    deployment = {"default": card.name, "versions": {card.name: live}}
    (folder / DEPLOYMENT).write_text(to_toml(deployment), encoding="utf-8")


def _number(told: Any) -> float | None:
    """Return a figure's value; of «before → after», as the swap tells, what is after the arrow."""
    try:
        value = float(str(told).rpartition("→")[2])
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_toml(table: Mapping[str, Any], *, place: Sequence[str] = ()) -> str:
    """Return a table as TOML, its own values before the tables in it. JSON's strings are TOML's as well."""
    own, inner = [], []
    for key, value in table.items():
        name = key if key.isidentifier() and key.isascii() else json.dumps(key)
        path = [*place, name]
        if isinstance(value, dict):
            inner.append(to_toml(value, place=path))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            inner += [f"[[{'.'.join(path)}]]\n{to_toml(row)}" for row in value]
        else:
            own.append(f"{name} = {json.dumps(value, ensure_ascii=False)}\n")
    heading = [f"[{'.'.join(place)}]\n"] if place and own else []
    return "\n".join(["".join(heading + own)] * bool(own) + inner)
