"""Answers millions of rows: many in flight, written in order, bad rows aside, engine trouble waited out."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson
import structlog

from service.answers import AnswersError
from service.bulk.feed import id_of, read_listing
from service.bulk.ledger import Ledger, OutputError
from service.bulk.places import GaveWay, Load, Places
from service.bulk.rows import InputError, Row, RowFault, Rows
from service.errors import EngineError, EngineRejected, ServiceError

log = structlog.get_logger(__name__)

READ_AHEAD: Final = 4  # rows per row in flight: one slow answer at the head does not stop the others
PATIENCE_S: Final = 900.0  # of trouble without any answer, until the run stops
ATTEMPTS: Final = 3  # for what may be the row's fault or the engine's
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
PASSING: Final = (429, 503, 504)  # statuses that tell of the engine's state and nothing of the row
TURN_ROWS: Final = 256  # rows after which the event loop has its turn, even if nothing has to be waited for
MAX_UNEXPECTED: Final = 5  # told in the log; the rest are counted


class EngineGone(Exception):
    """No row was answered for too long; one line that says how it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A row's result; `recalled` when the store gave it, so that no engine was asked."""

    result: Mapping[str, Any]
    recalled: bool


Problem: TypeAlias = dict[str, Any]
Answer: TypeAlias = Callable[[dict[str, Any]], Awaitable[Answered]]
Seen: TypeAlias = Callable[[bool], None]


async def bulk(
    rows: Rows,
    *,
    answer: Answer,
    ledger: Ledger,
    seen: Seen,
    in_flight: int = 32,
    patience_s: float = PATIENCE_S,
    load: Load | None = None,
) -> None:
    """Answer the rows that follow the ledger's last one; `seen` is told of each, True if no engine was asked.

    A row that cannot be answered becomes a problem in the ledger. Trouble that passes (429, 503, 504) is no
    row's fault: the row is tried again, after pauses that grow, until nothing was answered for `patience_s`.
    However this ends, what was answered up to the first unanswered row is written. With the engine's `load`
    the rows give way to whoever else asks it.

    Raises:
        EngineGone, AnswersError, InputError, OutputError: the run can go on later.

    """
    places = Places(in_flight, load=load)
    work = _Work(answer, places=places, patience_s=patience_s)
    queue = _Queue(ledger, seen)
    broken: InputError | None = None
    try:
        async with places.watched():
            try:
                for number, row in rows:
                    queue.pending.append(work.begin(number, row))
                    await queue.shorten(READ_AHEAD * in_flight)
                    if number % TURN_ROWS == 0:
                        await asyncio.sleep(0)
            except InputError as error:
                broken = error  # the rows before it are good
            await queue.shorten(0)
    except OutputError:
        raise
    except BaseException:
        queue.write_answered()
        raise
    finally:
        await work.cancel()
        queue.forget()
    if broken:
        raise broken


@dataclass(slots=True, kw_only=True)
class _Pending:
    """A row that was read and is not yet written; `shared` when an equal one was in flight already."""

    row: int
    passed: dict[str, Any]
    outcome: asyncio.Future[Answered | Problem]
    shared: bool = False

    @property
    def answered(self) -> bool:
        outcome = self.outcome
        return outcome.done() and not outcome.cancelled() and outcome.exception() is None


class _Queue:
    """The rows that were read and are not yet written, in order."""

    def __init__(self, ledger: Ledger, seen: Seen) -> None:
        self.pending: deque[_Pending] = deque()
        self._ledger = ledger
        self._seen = seen

    async def shorten(self, limit: int) -> None:
        """Write what is ready at the head; wait for the head while more than `limit` are pending."""
        while self.pending and (self.pending[0].outcome.done() or len(self.pending) > limit):
            if not self.pending[0].outcome.done():
                self._ledger.flush()
                await asyncio.wait([self.pending[0].outcome])
            self._write()
        if not limit:
            self._ledger.flush()

    def write_answered(self) -> None:
        """Write up to the first row without an answer."""
        while self.pending and self.pending[0].answered:
            self._write()
        self._ledger.flush()

    def forget(self) -> None:
        """Drop the rest; of many rows that failed alike, one has been told."""
        for one in self.pending:
            one.outcome.cancelled() or one.outcome.exception()

    def _write(self) -> None:
        one = self.pending[0]
        outcome = one.outcome.result()  # raises what stops the run: the row then stays at the head
        self.pending.popleft()
        if isinstance(outcome, Answered):
            self._ledger.add(one.row, {**one.passed, "result": outcome.result})
        else:
            self._ledger.add(one.row, {"item_id": one.passed["item_id"], "problem": outcome})
        self._seen(isinstance(outcome, Answered) and (outcome.recalled or one.shared))


class _Work:
    """The rows in flight: as many as allowed, equal ones once, tried again while the engine is in trouble."""

    def __init__(self, answer: Answer, *, places: Places, patience_s: float) -> None:
        self._answer = answer
        self._places = places
        self._patience_s = patience_s
        self._running: dict[bytes, asyncio.Task[Answered | Problem]] = {}
        self._trouble_since: float | None = None
        self._num_unexpected = 0

    def begin(self, number: int, row: Row | RowFault) -> _Pending:
        """Start on a row."""
        listing = row if isinstance(row, RowFault) else read_listing(row)
        if isinstance(listing, RowFault):
            passed = {"item_id": None if isinstance(row, RowFault) else id_of(row)}
            outcome: asyncio.Future[Answered | Problem] = asyncio.get_running_loop().create_future()
            outcome.set_result(_problem_of_row(listing))
            return _Pending(row=number, passed=passed, outcome=outcome)
        key = orjson.dumps(listing.fields, default=str, option=orjson.OPT_SORT_KEYS)
        task = self._running.get(key)
        shared = task is not None
        if task is None:
            task = self._running[key] = asyncio.create_task(self._outcome(listing.fields))
            task.add_done_callback(lambda _: self._running.pop(key))
        return _Pending(row=number, passed=listing.passed, outcome=task, shared=shared)

    async def cancel(self) -> None:
        """Drop what is in flight."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _outcome(self, fields: dict[str, Any]) -> Answered | Problem:
        attempt = 1
        while True:
            try:
                async with self._places.hold():
                    answered = await self._answer(fields)
            except GaveWay:
                continue
            except ServiceError as error:
                if not _may_pass(error, attempt):
                    return _problem(error)
                self._note_trouble(error)
                await asyncio.sleep(_pause_s(attempt))
                attempt += 1
            except AnswersError:
                raise
            except Exception as error:
                return self._unexpected(error)
            else:
                self._note_answer()
                return answered

    def _note_trouble(self, error: ServiceError) -> None:
        now = time.monotonic()
        if self._trouble_since is None:
            self._trouble_since = now
            log.warning("the engine is in trouble, rows are tried again", code=error.code)
        elif now - self._trouble_since > self._patience_s:
            raise EngineGone(
                f"no row was answered for {self._patience_s / 60:.0f} minutes: {error.detail} ({error.code})"
            ) from None

    def _note_answer(self) -> None:
        if self._trouble_since is not None:
            self._trouble_since = None
            log.info("the engine answers again")

    def _unexpected(self, error: Exception) -> Problem:
        """Blame the row: a fault of our own must not stop a million others."""
        self._num_unexpected += 1
        if self._num_unexpected <= MAX_UNEXPECTED:
            log.error("unexpected error", exc_info=error)
        return _problem(ServiceError())


def _may_pass(error: ServiceError, attempt: int) -> bool:
    if error.status in PASSING:
        return True
    return isinstance(error, EngineError) and not isinstance(error, EngineRejected) and attempt < ATTEMPTS


def _pause_s(attempt: int) -> float:
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt - 1, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311  # rows that failed together come back apart


def _problem(error: ServiceError) -> Problem:
    """Return the problem document without the request's id: a run that is repeated writes the same."""
    document = error.problem(request_id="")
    del document["request_id"]
    return document


def _problem_of_row(fault: RowFault) -> Problem:
    return {
        "type": f"urn:problem:{fault.code}",
        "title": "Bad row",
        "status": 422,
        "detail": fault.reason,
        "code": fault.code,
    }
