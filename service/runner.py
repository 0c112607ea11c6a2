"""Runs a task: choose the version, admit, render, generate, check sentence by sentence, within a deadline."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import structlog

from service.answers import Answers
from service.asking import Asking
from service.call import AnyTask, Call, Done, Sentence, Version
from service.errors import DeadlineExceeded, Draining, ServiceError, UnknownModelVersion
from service.shapes.base import TaskRequest, TaskResponse, Usage
from service.sight import NOTHING, Sight
from service.telemetry import Metrics

log = structlog.get_logger(__name__)
WARM_UP_S = 120.0


class Runner:
    """Owns the live versions; one per process, used from one event loop."""

    def __init__(
        self,
        versions: Mapping[str, Version],
        *,
        default: str,
        metrics: Metrics,
        answers: Answers | None = None,
        parallel: int = 4,
        sight: Sight | None = None,
    ) -> None:
        self.versions = dict(versions)
        self.default = default
        self.metrics = metrics
        self.answers = answers or Answers()
        self.parallel = parallel
        self.sight = sight
        self._running: set[asyncio.Timeout] = set()
        self._stop_at: float | None = None
        for version in self.versions.values():
            metrics.queued.labels(version.name).set_function(partial(getattr, version.gate, "queued"))
            metrics.in_flight.labels(version.name).set_function(partial(getattr, version.gate, "in_flight"))

    def assign(self, pinned: str | None) -> Version:
        """Return the version that serves a request.

        Raises:
            UnknownModelVersion: the pinned one is not live.

        """
        name = pinned or self.default
        if name not in self.versions:
            raise UnknownModelVersion(f"not live; live versions: {', '.join(sorted(self.versions))}")
        return self.versions[name]

    def call(
        self,
        task: AnyTask,
        request: TaskRequest,
        *,
        request_id: str,
        pinned: str | None,
        deadline_s: float,
        priority: int = 0,
    ) -> Call:
        """Open a call: the clock of its deadline runs from now. Raises UnknownModelVersion."""
        return Call(
            task=task,
            request=request,
            request_id=request_id,
            version=self.assign(pinned),
            arrived=time.perf_counter(),
            deadline_s=deadline_s,
            deadline=asyncio.get_running_loop().time() + deadline_s,
            priority=priority,
        )

    def drain(self, grace_s: float) -> None:
        """Let what is inside finish for `grace_s` seconds, then end it with a clear error."""
        self._stop_at = asyncio.get_running_loop().time() + grace_s
        for timeout in self._running:
            if (when := timeout.when()) is None or when > self._stop_at:
                timeout.reschedule(self._stop_at)

    @asynccontextmanager
    async def admitted(self, call: Call) -> AsyncIterator[None]:
        """Hold a place before the engine for the length of the block, and count the call's outcome.

        Raises:
            Overloaded, DeadlineExceeded, Draining: before the block; the latter two also inside it.
            InvalidRequest: before the block, for photos that cannot be used.

        """
        labels = (call.task.name, call.version.name)
        with self.counted(call):
            async with self._within_deadline(call), call.version.gate.hold() as waited:
                call.queue_s = waited
                self.metrics.queue_wait.labels(*labels).observe(waited)
                await self._look(call)
                yield

    async def _look(self, call: Call) -> None:
        """Look at the request's photos, on its place: a flood of photos is admitted like any other."""
        if call.task.look and self.sight:
            started = time.perf_counter()
            call.shown = await call.task.look(call.request, self.sight)
            if call.shown is not NOTHING:
                call.photos_s = time.perf_counter() - started

    @contextmanager
    def counted(self, call: Call) -> Iterator[None]:
        """Count the outcome of a call that runs inside the block."""
        code = "ok"
        try:
            yield
        except ServiceError as error:
            code = error.code
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = "client_closed"
            raise
        except BaseException:
            code = ServiceError.code
            raise
        finally:
            # With the loop's next turn: the answer leaves first.
            asyncio.get_running_loop().call_soon(self._count, call, code)

    @asynccontextmanager
    async def _within_deadline(self, call: Call) -> AsyncIterator[None]:
        until = call.deadline if self._stop_at is None else min(call.deadline, self._stop_at)
        timeout = asyncio.timeout_at(until)
        try:
            async with timeout:
                self._running.add(timeout)
                yield
        except TimeoutError:
            if not timeout.expired():
                raise
            if self._stop_at is not None and self._stop_at < call.deadline:
                raise Draining("the service is shutting down, repeat the request") from None
            raise DeadlineExceeded(f"no answer within {round(1000 * call.deadline_s)} ms") from None
        finally:
            self._running.discard(timeout)

    async def run(
        self, call: Call, *, answers: Answers | None = None
    ) -> AsyncGenerator[Sentence | Done, None]:
        """Yield checked sentences, then one Done. To be used inside `admitted` and `aclosing`.

        What was answered before is looked up in `answers`, if not in the runner's own.
        """
        model = Asking(call, answers=answers or self.answers, parallel=self.parallel)
        async with aclosing(call.task.answer(call.request, model)) as items:
            async for item in items:
                if not isinstance(item, str):
                    yield Done(self._respond(call, item))
                    continue
                if call.first_s is None:
                    call.first_s = time.perf_counter() - call.arrived
                yield Sentence(item)

    def _respond(self, call: Call, result: Mapping[str, Any]) -> TaskResponse:
        total = time.perf_counter() - call.arrived
        timings = {"queue": call.queue_s, "engine": call.engine_s, "total": total}
        if call.photos_s is not None:
            timings["photos"] = call.photos_s
        if call.first_s is not None:
            timings["first_sentence"] = call.first_s
        call.finish = str(result.get("finish", "stop"))
        response: TaskResponse = call.task.response(
            id=uuid.uuid4().hex,
            model_version=call.version.name,
            usage=Usage(prompt_tokens=call.prompt_tokens, completion_tokens=call.completion_tokens),
            timings_ms={name: round(1000 * value, 2) for name, value in timings.items()},
            **result,
        )
        return response

    def _count(self, call: Call, code: str) -> None:
        labels = (call.task.name, call.version.name)
        metrics = self.metrics
        metrics.requests.labels(*labels, code).inc()
        metrics.latency.labels(*labels).observe(time.perf_counter() - call.arrived)
        if call.first_s is not None:
            metrics.first.labels(*labels).observe(call.first_s)
        metrics.tokens.labels(*labels, "prompt").inc(call.prompt_tokens)
        metrics.tokens.labels(*labels, "completion").inc(call.completion_tokens)
        if call.finish is not None:
            metrics.finishes.labels(*labels, call.finish).inc()
        if call.attempts:
            metrics.attempts.labels(*labels).inc(call.attempts)
        if call.recalled:
            metrics.recalled.labels(*labels).inc(call.recalled)
        for reason in call.removed:
            metrics.drops.labels(*labels, reason).inc()

    async def warm_up(self, tasks: Sequence[AnyTask]) -> None:
        """Answer every task's example by every version, so that nothing is loaded at a user's expense.

        With an empty store: an answer that is remembered would leave the engine cold.
        """
        for version in self.versions.values():
            for task in tasks:
                call = self.call(
                    task, task.example, request_id="warm-up", pinned=version.name, deadline_s=WARM_UP_S
                )
                try:
                    events = self.run(call, answers=Answers())
                    async with asyncio.timeout_at(call.deadline), aclosing(events):
                        async for _ in events:
                            pass
                except (ServiceError, TimeoutError) as error:
                    log.warning(
                        "warm-up failed", task=task.name, model_version=version.name, reason=str(error)
                    )

    async def probe(self, version: Version) -> bool:
        """Ask one token of a version's engine and remember when it answered."""
        try:
            await version.engine.health()
        except ServiceError:
            self.metrics.engine_up.labels(version.name).set(0)
            return False
        version.canary_at = time.monotonic()
        self.metrics.engine_up.labels(version.name).set(1)
        return True
