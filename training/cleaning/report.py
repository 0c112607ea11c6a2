"""The corpus report: what went in, what came out and why, for people (HTML) and programs (JSON)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.cleaning.accounts import Account, examples, write_json
from training.config import Run

STEPS = ("unreadable", "language", "quality", "personal_data", "duplicate", "near_duplicate", "evaluation")


def write_report(folder: Path, *, run: Run, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Write report.json and report.html into the stage's folder; return the figures of the summary."""
    report = gather(folder, run=run, seconds=seconds)
    write_json(folder / "report.json", report)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"thousands": lambda number: f"{number:,}".replace(",", "\u202f")}
    page = environment.get_template("report.html.jinja").render(report)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return {
        "documents read": report["read"]["documents"],
        "documents kept": report["kept"]["documents"],
        "characters kept": report["kept"]["characters"],
        "kept %": report["kept"]["share"],
        "held out": report["held_out"]["documents"],
    }


def gather(folder: Path, *, run: Run, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return everything that the report shows, from the counts that the tasks left."""
    read = Account.total(folder / "counts" / "read")
    dropped = {step: Account.total(folder / "counts" / f"dropped-{step}") for step in STEPS}
    # A line that cannot be read never becomes a document, so it is not among those read.
    for key, documents in dropped["unreadable"].documents.items():
        characters = dropped["unreadable"].characters[key]
        read.add(key[:2], characters=characters, documents=documents)
    kept, held_out = (Account.total(folder / "counts" / place) for place in ("whole", "heldout"))
    total = max(1, read.by().characters[()])
    times = _times(folder, seconds)
    return {
        "name": run.name,
        "seed": run.seed,
        "read": _sum(read, total=total),
        "kept": _sum(kept, total=total),
        "held_out": _sum(held_out, total=total),
        "sources": [_source(name, run=run, read=read, kept=kept, dropped=dropped) for name in _names(run)],
        "steps": [{"step": step, **_sum(account, total=total)} for step, account in dropped.items()],
        "reasons": _reasons(folder, dropped, total=total),
        "mix": _mix(folder, run=run),
        "personal_data": _personal(folder),
        "seconds": times,
    }


def _names(run: Run) -> list[str]:
    return [source.name for source in run.corpus.sources]


def _sum(account: Account, *, total: int) -> dict[str, Any]:
    whole = account.by()
    characters = whole.characters[()]
    share = round(100 * characters / total, 2)
    return {"documents": whole.documents[()], "characters": characters, "share": share}


def _source(
    name: str, *, run: Run, read: Account, kept: Account, dropped: Mapping[str, Account]
) -> dict[str, Any]:
    source = next(source for source in run.corpus.sources if source.name == name)
    whole = max(1, read.by(0).documents[name,])
    lost = {step: account.by(0).documents[name,] for step, account in dropped.items()}
    return {
        "name": name,
        "domain": source.domain,
        "profile": source.profile,
        "licence": source.licence,
        "read": read.by(0).documents[name,],
        "characters": read.by(0).characters[name,],
        "kept": kept.by(0).documents[name,],
        "kept_characters": kept.by(0).characters[name,],
        "dropped": {step: number for step, number in lost.items() if number},
        "shares": {step: round(100 * number / whole, 2) for step, number in lost.items() if number},
        "kept_share": round(100 * kept.by(0).documents[name,] / whole, 2),
    }


def _reasons(folder: Path, dropped: Mapping[str, Account], *, total: int) -> list[dict[str, Any]]:
    shown = examples(folder)
    rows = [
        {
            "step": step,
            "reason": reason,
            "documents": documents,
            "share": round(100 * account.by(2).characters[reason,] / total, 2),
            "examples": [{"id": name, "text": text} for name, text in shown.get(reason, [])],
        }
        for step, account in dropped.items()
        for (reason,), documents in sorted(account.by(2).documents.items())
    ]
    return sorted(rows, key=lambda row: -row["documents"])


def _mix(folder: Path, *, run: Run) -> list[dict[str, Any]]:
    kept, mixed = (Account.total(folder / "counts" / place).by(1).characters for place in ("whole", "data"))
    total = max(1, sum(mixed.values()))
    return [
        {
            "domain": domain,
            "available": characters,
            "wanted": round(100 * run.corpus.mix[domain], 1) if domain in run.corpus.mix else None,
            "got": round(100 * mixed[domain,] / total, 1),
            "factor": round(mixed[domain,] / max(1, characters), 2),
        }
        for (domain,), characters in sorted(kept.items())
    ]


def _personal(folder: Path) -> dict[str, int]:
    """Return how much personal data of each kind was found, from the step's own statistics."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("logs/*/stats/*.json")):
        for step in json.loads(path.read_text(encoding="utf-8")):
            for label, value in step["stats"].items():
                if label.startswith("personal_"):
                    found[label.removeprefix("personal_")] += (
                        value["total"] if isinstance(value, dict) else value
                    )
    return dict(found.most_common())


def _times(folder: Path, seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of every phase; those of an earlier, interrupted run are kept beside the counts."""
    place = folder / "counts" / "seconds.json"
    known = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    merged = {name: round(max(seconds[name], known.get(name, 0.0)), 2) for name in seconds}
    write_json(place, merged)
    return merged
