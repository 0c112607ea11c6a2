"""`bulk` on the command line: the service's engines and tasks, with rows of a file in place of requests."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import ValidationError

from models.card import Card, load_card
from service.answers import Answers
from service.bulk.feed import COLUMNS
from service.bulk.ledger import Ledger, OutputError, describe_input
from service.bulk.loop import Answer, Answered, bulk
from service.bulk.places import Load
from service.bulk.progress import Progress
from service.bulk.rows import check_input, count_rows, read_rows
from service.call import AnyTask, Done, Version
from service.deployment import Deployment, DeploymentError, load_deployment
from service.errors import InvalidRequest, ServiceError
from service.intake import faults_of
from service.product_models import NORMALIZER_VERSION
from service.remembered import identity
from service.runner import Runner
from service.settings import Settings
from service.tasks.extract_model import EXTRACT_MODEL
from service.telemetry import Metrics
from service.versions import bring_up

PRIORITY: Final = 10  # at the engine: whoever waits for an answer goes first
DEADLINE_S: Final = 300.0  # of one row, most of it spent behind interactive requests
TASKS: Final[dict[str, AnyTask]] = {EXTRACT_MODEL.path.strip("/"): EXTRACT_MODEL}
# They differ from one answer to the next; what a repeated run writes must not.
OF_THE_MOMENT: Final = {"id", "usage", "timings_ms", "experiment"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions:
    """The command line of `bulk`."""

    task: str
    source: Path
    out: Path
    in_flight: int = 32
    deployment: Path | None = None
    model_version: str | None = None
    restart: bool = False
    limit: int | None = None


async def run_bulk(options: BulkOptions, settings: Settings) -> None:
    """Answer a file's rows, or go on with it; tell the outcome on stdout.

    Raises:
        InputError, OutputError, DeploymentError, CardError, VersionError, AnswersError, EngineGone: with
            everything answered so far kept; the same command goes on.
        asyncio.CancelledError: by SIGINT or SIGTERM, likewise.

    """
    check_input(options.source)
    if options.out.exists() and options.out.samefile(options.source):
        raise OutputError(f"{options.out}: is the input")
    name, deployment = _narrowed(options, settings)
    card = load_card(deployment.versions[name].card)
    task = TASKS[options.task]
    about = {
        "task": options.task,
        "input": describe_input(options.source),
        "model": {"version": name, "card": card.name, "sha256": _model_sha256(card, task)},
        "normalizer": NORMALIZER_VERSION,
    }
    with Ledger(options.out) as ledger, _stopped_by_signals():
        ledger.open(about, restart=options.restart)
        total = await _total(options)
        progress = Progress(ledger.totals, total=total)
        try:
            if ledger.totals.rows < total:
                rows = read_rows(options.source, columns=COLUMNS, start=ledger.totals.rows)
                rows = itertools.islice(rows, total - ledger.totals.rows)
                async with _answering(deployment, task, options.in_flight, settings) as (answer, load):
                    with progress:
                        await bulk(
                            rows,
                            answer=answer,
                            ledger=ledger,
                            seen=progress.seen,
                            in_flight=options.in_flight,
                            load=load,
                        )
        except BaseException:
            done = f"{ledger.totals.rows:,} of {total:,} rows are done"
            print(f"stopped: {done}; the same command goes on from there", file=sys.stderr)
            raise
        print(*progress.summary(), f"results: {ledger.out}", sep="\n")
        if ledger.totals.errors:
            print(f"bad rows: {ledger.errors}")


def _narrowed(options: BulkOptions, settings: Settings) -> tuple[str, Deployment]:
    """Return the deployment with the one version that answers: only its engines are started."""
    path = options.deployment or settings.deployment
    deployment = load_deployment(path)
    name = options.model_version or deployment.default
    if name not in deployment.versions:
        raise DeploymentError(f"{path}: has no version {name}, only {', '.join(sorted(deployment.versions))}")
    return name, Deployment(default=name, versions={name: deployment.versions[name]})


def _model_sha256(card: Card, task: AnyTask) -> str:
    """Return the hash of all that decides the answers but the rows."""
    sections = sorted({prompt.section for prompt in task.prompts(task.example)})
    parts = [
        [identity(card, section) for section in sections],
        {name: curve.model_dump() for name, curve in card.calibration.items()},
    ]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def _total(options: BulkOptions) -> int:
    total = 0
    for total in count_rows(options.source):  # noqa: B007  # the last one counts
        await asyncio.sleep(0)
    return total if options.limit is None else min(total, options.limit)


@asynccontextmanager
async def _answering(
    deployment: Deployment, task: AnyTask, in_flight: int, settings: Settings
) -> AsyncIterator[tuple[Answer, Load]]:
    """Bring the engines up, yield what answers one row and what tells their load, take them down."""
    settings = settings.model_copy(update={"max_in_flight": in_flight, "max_queue": in_flight})
    metrics = Metrics()
    with _store(settings) as answers:
        versions: dict[str, Version] = await bring_up(deployment, settings=settings, metrics=metrics)
        try:
            runner = Runner(versions, default=deployment.default, metrics=metrics, answers=answers)
            yield _answer(runner, task), versions[deployment.default].engine.load
        finally:
            for version in versions.values():
                await version.engine.close()


def _store(settings: Settings) -> Answers:
    return Answers(
        settings.answers_path,
        max_rows=settings.answers_max_rows,
        max_age_days=settings.answers_max_age_days,
        strict=True,
    )


def _answer(runner: Runner, task: AnyTask) -> Answer:
    async def answer(fields: dict[str, Any]) -> Answered:
        try:
            request = task.request.model_validate(fields)
        except ValidationError as error:
            raise InvalidRequest("the row does not match the contract", errors=faults_of(error)) from None
        call = runner.call(
            task,
            request,
            request_id=uuid.uuid4().hex,
            pinned=None,
            deadline_s=DEADLINE_S,
            priority=PRIORITY,
        )
        async with runner.admitted(call), aclosing(runner.run(call)) as events:
            async for event in events:
                if isinstance(event, Done):
                    result = event.response.model_dump(mode="json", exclude=OF_THE_MOMENT)
                    return Answered(result=result, recalled=call.recalled > 0 and not call.prompt_tokens)
        raise ServiceError  # a run always ends with Done

    return answer


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Cancel the current task at SIGINT or SIGTERM."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signals = (signal.SIGINT, signal.SIGTERM)
    for one in signals:
        loop.add_signal_handler(one, task.cancel)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)
