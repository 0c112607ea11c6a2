"""`python -m service`: reads the command line and the settings, runs a command, tells faults in one line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from models.card import CardError
from service.answers import AnswersError
from service.bulk.consumer import GroupOptions, models_path, run_group
from service.bulk.ledger import OutputError
from service.bulk.loop import EngineGone
from service.bulk.offline import TASKS, BulkOptions, run_bulk
from service.bulk.rows import InputError
from service.deployment import DeploymentError
from service.serving import AddressError, serve
from service.settings import Settings
from service.telemetry import configure_logging
from service.versions import VersionError

FAULTS = (
    AddressError,
    AnswersError,
    CardError,
    DeploymentError,
    EngineGone,
    InputError,
    OutputError,
    VersionError,
)
STOPPED = 130  # as a shell tells that Ctrl-C ended a command


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        settings = Settings()
        configure_logging(style=settings.log_format, level=settings.log_level)
        with asyncio.Runner(loop_factory=uvicorn.Config("", log_config=None).get_loop_factory()) as runner:
            runner.run(_command(arguments, settings))
    except asyncio.CancelledError:
        return 0 if arguments.command == "serve" else STOPPED  # serve: while the engines were starting
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        print(f"error: LLM_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}", file=sys.stderr)
        return 2
    except FAULTS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _command(arguments: argparse.Namespace, settings: Settings) -> Coroutine[None, None, None]:
    if arguments.command == "serve":
        return serve(settings)
    source: Path = arguments.source
    grouping = arguments.command == "group"
    options = BulkOptions(
        task="extract-model" if grouping else arguments.task,
        source=source,
        out=models_path(source) if grouping else arguments.out,
        in_flight=arguments.in_flight,
        deployment=arguments.deployment,
        model_version=arguments.model_version,
        restart=arguments.restart,
        limit=arguments.limit,
    )
    if not grouping:
        return run_bulk(options, settings)
    return run_group(
        GroupOptions(
            source=source,
            json=arguments.json,
            min_size=arguments.min_size,
            min_confidence=arguments.min_confidence,
            any_seller=arguments.any_seller,
            top=arguments.top,
            bulk=options,
        ),
        settings,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service", description="Settings come from LLM_* variables (see README)."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer over HTTP")
    bulk = commands.add_parser(
        "bulk",
        help="answer a file of listings",
        description="Every row of IN gives one line: a result in OUT.jsonl, or its problem in"
        " OUT.errors.jsonl. After any end, kill -9 included, the same command goes on where it stopped.",
    )
    bulk.add_argument("task", choices=sorted(TASKS))
    bulk.add_argument("source", metavar="IN", type=Path, help=".jsonl, .jsonl.gz, .jsonl.zst or .parquet")
    bulk.add_argument("out", metavar="OUT", type=Path, help=".jsonl")
    _add_bulk_options(bulk)
    group = commands.add_parser(
        "group",
        help="show a seller's listings of the same model",
        description="IN is bulk's output, or raw listings: these go through bulk into IN.models.jsonl first.",
    )
    group.add_argument("source", metavar="IN", type=Path)
    group.add_argument("--json", metavar="OUT.json", type=Path, help="write all groups there")
    group.add_argument("--min-size", type=_natural, default=2, help="of a group (default 2)")
    group.add_argument("--min-confidence", type=float, default=0.0, help="leave less certain models out")
    group.add_argument("--any-seller", action="store_true", help="group across sellers")
    group.add_argument("--top", type=_natural, default=50, help="groups to print (default 50)")
    _add_bulk_options(group)
    return parser


def _add_bulk_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in-flight", type=_natural, default=32, help="rows at the engine (default 32)")
    parser.add_argument("--deployment", metavar="FILE", type=Path, help="instead of LLM_DEPLOYMENT")
    parser.add_argument("--model-version", metavar="NAME", help="instead of the deployment's default")
    parser.add_argument("--restart", action="store_true", help="throw away what an earlier run wrote")
    parser.add_argument("--limit", metavar="N", type=_natural, help="stop after the first N rows")


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
