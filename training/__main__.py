"""`python -m training run FILE…`, `python -m training tokenizer-report …`: the recipe at the command line."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.errors import ContractError
from training.config import Run, load_run
from training.errors import TrainingError
from training.plan import Row, columns, plan, span
from training.recipe import Outcome, execute, home, prune

REPORT = "tokenizer-report"
BAR = "{desc:<12} {percentage:3.0f}% |{bar}| {elapsed}<{remaining} {postfix}"


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if all went well, 1 with one line on stderr if not, 130 if a person stopped it."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == [REPORT]:  # it has many options of its own, and no run
            report: Callable[[Sequence[str]], int] = importlib.import_module(
                "training.vocabulary.comparison"
            ).main
            return report(words[1:])
        arguments = _parser().parse_args(words)
        changes = {name: value for name in ("data", "out") if (value := getattr(arguments, name))}
        runs = [load_run(path).model_copy(update=changes) for path in arguments.files]
        if arguments.dry_run:
            for run in runs:
                _show_plan(run)
            return 0
        for run in runs:
            _run(run, remove_stale=arguments.prune)
    except (TrainingError, ContractError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="go through the stages of run files; finished ones are skipped")
    run.add_argument("files", nargs="+", type=Path, metavar="FILE", help="training/runs/*.toml")
    run.add_argument("--dry-run", action="store_true", help="print sizes, memory and time; start nothing")
    run.add_argument(
        "--data", metavar="DIR", help="where the sources' paths begin, instead of the file's `data`"
    )
    run.add_argument("--out", metavar="DIR", help="where the stages are written, instead of the file's `out`")
    run.add_argument("--prune", action="store_true", help="then remove the stages of earlier settings")
    commands.add_parser(REPORT, help="compare tokenizers on texts (--help tells more)", add_help=False)
    return parser


def _run(run: Run, *, remove_stale: bool) -> None:
    from transformers.utils import logging

    from training.stages import STAGES  # torch and datatrove take seconds: not for --help or a plan

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    outcomes = []
    for outcome in execute(run, STAGES, progress=_bar):
        outcomes.append(outcome)
        state = "finished earlier" if outcome.skipped else f"done in {span(outcome.seconds)}"
        print(f"{outcome.name}: {state}", file=sys.stderr, flush=True)
    _show_outcomes(run, outcomes)
    if remove_stale:
        for path in prune(run, STAGES):
            print(f"removed {path}")


@contextlib.contextmanager
def _bar(stage: str) -> Iterator[Callable[[str, float, float], None]]:
    """Show a stage's progress on a terminal; elsewhere its beginning and end are enough."""
    with tqdm(total=1.0, desc=stage, bar_format=BAR, disable=None, leave=False) as bar:

        def tell(note: str, done: float, total: float) -> None:
            bar.set_postfix_str(note, refresh=False)
            bar.update(max(0.0, min(1.0, done / total) - bar.n))
            bar.refresh()

        if bar.disable:
            print(f"{stage}: begun", file=sys.stderr, flush=True)
        yield tell


def _show_outcomes(run: Run, outcomes: Sequence[Outcome]) -> None:
    table = Table(title=f"run {run.name}: {home(run)}", title_justify="left")
    for heading in ("stage", "state", "time", "figures"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        figures = "\n".join(f"{name}: {_figure(value)}" for name, value in outcome.figures.items())
        state = "finished earlier" if outcome.skipped else "done"
        table.add_row(outcome.name, state, span(outcome.seconds), figures)
    console = _console()
    console.print(table)
    for place in ("corpus/report.html", "tokenizer/report/report.png"):
        if (home(run) / place).is_file():
            console.print(f"look at {home(run) / place}", soft_wrap=True)
    if run.training:
        names = ", ".join(training.name for training in run.training)
        console.print(f"Planned, not run by this version: {names} (--dry-run tells their size and time).")


def _show_plan(run: Run) -> None:
    table = Table(title=f"plan of {run.name} (nothing is started)", title_justify="left", show_lines=True)
    for heading in Row.__dataclass_fields__:
        table.add_column(heading, overflow="fold")
    for cells in columns(plan(run)):
        table.add_row(*cells)
    _console().print(table)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def _figure(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
