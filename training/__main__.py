"""`python -m training run FILE…`, `python -m training tokenizer-report …`: the recipe at the command line."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.errors import ContractError
from training.config import Run, load_run
from training.errors import ConfigError, Interrupted, TrainingError
from training.plan import Row, columns, plan, span
from training.recipe import MAIN, Outcome, execute, home, prune

# Read when PyTorch is loaded. Its threads wait for each other by spinning otherwise: beside two other jobs on
# two cores 60 passes of a small model took 9 to 15 s instead of 1.4.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REPORT = "tokenizer-report"
LINE_S = 30.0  # between two lines of progress in a log file
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
            _run(run, until=arguments.until, remove_stale=arguments.prune)
    except Interrupted as error:
        _say(f"{error}; the same command goes on from here")
        return 130
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
    run.add_argument("--until", metavar="STAGE", help="stop after it: data made ready before the GPUs come")
    run.add_argument("--prune", action="store_true", help="then remove the stages of earlier settings")
    commands.add_parser(REPORT, help="compare tokenizers on texts (--help tells more)", add_help=False)
    return parser


def _run(run: Run, *, until: str | None, remove_stale: bool) -> None:
    from transformers.utils import logging

    from training.stages import stages_of  # torch and datatrove take seconds: not for --help or a plan

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    outcomes, stages = [], stages_of(run)
    names = [stage.name for stage in stages]
    if until not in (None, *names):
        raise ConfigError(f"--until {until}: run {run.name} has no such stage; it has {', '.join(names)}")
    wanted = stages[: names.index(until) + 1] if until else stages
    for outcome in execute(run, wanted, progress=_bar):
        outcomes.append(outcome)
        _say(
            f"{outcome.name}: "
            + ("finished earlier" if outcome.skipped else f"done in {span(outcome.seconds)}")
        )
    if not MAIN:
        return
    _show_outcomes(run, outcomes)
    if remove_stale:
        for path in prune(run, stages):
            print(f"removed {path}")


def _say(line: str) -> None:
    """Tell people something, once, however many processes torchrun has started."""
    if MAIN:
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bar(stage: str) -> Iterator[Callable[[str, float, float], None]]:
    """Show a stage's progress as a bar on a terminal, elsewhere as a line now and then."""
    with tqdm(total=1.0, desc=stage, bar_format=BAR, disable=None, leave=False) as bar:
        told = time.monotonic()

        def tell(note: str, done: float, total: float) -> None:
            nonlocal told
            if bar.disable and time.monotonic() - told > LINE_S:
                told = time.monotonic()
                _say(f"{stage}: {done / total:4.0%} {note}")
            bar.set_postfix_str(note, refresh=False)
            bar.update(max(0.0, min(1.0, done / total) - bar.n))
            bar.refresh()

        if bar.disable:
            _say(f"{stage}: begun")
        yield tell


def _show_outcomes(run: Run, outcomes: Sequence[Outcome]) -> None:
    table = Table(title=f"run {run.name}: {home(run)}", title_justify="left")
    for heading in ("stage", "state", "time", "figures"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        told = {name: value for name, value in outcome.figures.items() if name != "serve"}
        figures = "\n".join(f"{name}: {_figure(value)}" for name, value in told.items())
        state = "finished earlier" if outcome.skipped else "done"
        table.add_row(outcome.name, state, span(outcome.seconds), figures)
    console = _console()
    console.print(table)
    seen = ["corpus/report.html", "tokenizer/report/report.png"]
    for place in [*seen, *(f"{training.name}/loss.png" for training in run.training)]:
        if (home(run) / place).is_file():
            console.print(f"look at {home(run) / place}", soft_wrap=True)
    if serve := outcomes[-1].figures.get("serve"):
        console.print(f"serve it: {serve}", soft_wrap=True)


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
