"""Many items of one task in one request: side by side, in order, each with its own fault or result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, cast

import orjson
from fastapi import Request, Response
from pydantic import ValidationError

from service.call import AnyTask, Call, Done
from service.errors import DeadlineExceeded, InvalidRequest, ServiceError
from service.events import as_service_error, until_disconnect
from service.intake import deadline_s, faults_of, pinned_version, read_body
from service.runner import Runner
from service.settings import Settings
from service.shapes.base import TaskRequest
from service.shapes.batch import BatchItem, BatchRequest, BatchResponse
from service.spreading import side_by_side

PRIORITY = 5  # at the engine: after interactive requests (0), before bulk (10)
RESERVE_S = 0.25  # of the deadline, to write down what is finished
MALFORMED = "the item does not match the contract, see errors"


class Batch:
    """Answers the items of one request within its deadline; what is late is an error of its item."""

    def __init__(self, runner: Runner, task: AnyTask, *, request_id: str, pinned: str | None) -> None:
        self.runner = runner
        self.task = task
        self.request_id = request_id
        self.pinned = pinned

    async def answer(self, items: Sequence[Any], *, outer: Call, parallel: int) -> BatchResponse:
        """Answer all items on the place that `outer` holds and on spare ones."""
        answered: list[BatchItem | None] = [None] * len(items)
        until = outer.deadline - min(RESERVE_S, 0.1 * outer.deadline_s)
        jobs = [partial(self._one, index, item, outer) for index, item in enumerate(items)]
        try:
            async with (
                asyncio.timeout_at(until),
                aclosing(side_by_side(outer.version.gate, jobs, parallel=parallel)) as done,
            ):
                async for index, answer in done:
                    answered[index] = answer
        except TimeoutError:
            late = DeadlineExceeded(f"not ready within {round(1000 * outer.deadline_s)} ms, ask for it again")
            answered = [
                ready or self._failed(item, late, index)
                for index, (item, ready) in enumerate(zip(items, answered, strict=True))
            ]
        return BatchResponse(items=cast(list[BatchItem], answered))

    async def _one(self, index: int, item: Any, outer: Call) -> tuple[int, BatchItem]:
        try:
            request = self._request(item)
            call = self.runner.call(
                self.task,
                request,
                request_id=f"{self.request_id}-{index}",
                pinned=request.model_version or self.pinned,
                deadline_s=outer.deadline_s,
                priority=PRIORITY,
            )
            with self.runner.counted(call):
                return index, BatchItem(item_id=item["item_id"], status="ok", result=await self._result(call))
        except Exception as error:
            return index, self._failed(item, as_service_error(error), index)

    async def _result(self, call: Call) -> dict[str, Any]:
        async with aclosing(self.runner.run(call)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.response.model_dump(mode="json")
        raise ServiceError  # a run always ends with Done

    def _request(self, item: Any) -> TaskRequest:
        assert self.task.item is not None
        try:
            request: TaskRequest = self.task.item.model_validate(item)
        except ValidationError as error:
            raise InvalidRequest(MALFORMED, errors=faults_of(error)) from None
        return request

    def _failed(self, item: Any, error: ServiceError, index: int) -> BatchItem:
        name = item.get("item_id") if isinstance(item, dict) else None
        return BatchItem(
            item_id=name if isinstance(name, str | int) and not isinstance(name, bool) else None,
            status="error",
            problem=error.problem(request_id=f"{self.request_id}-{index}"),
        )


def _told(item: BatchItem) -> dict[str, Any]:
    """Return an item as it is sent: with its result or its problem, never both."""
    told = {"item_id": item.item_id, "status": item.status}
    return told | ({"problem": item.problem} if item.problem else {"result": item.result})


async def batch_endpoint(request: Request, task: AnyTask, runner: Runner, settings: Settings) -> Response:
    """Answer one batch; the whole fails only if the request itself is malformed, or is not admitted."""
    body = await read_body(request, BatchRequest)
    state = request.scope["state"]
    pinned = pinned_version(request, body)
    outer = runner.call(
        replace(task, name=f"{task.name}_batch"),
        task.example,
        request_id=state["request_id"],
        pinned=pinned,
        deadline_s=deadline_s(request, settings),
    )
    state["model_version"] = outer.version.name
    batch = Batch(runner, task, request_id=state["request_id"], pinned=pinned)

    async def work() -> Response:
        async with runner.admitted(outer):
            answer = await batch.answer(body.items, outer=outer, parallel=settings.max_parallel)
        return Response(
            orjson.dumps({"items": [_told(item) for item in answer.items]}),
            media_type="application/json",
            headers={"X-Model-Version": outer.version.name},
        )

    return await until_disconnect(request.receive, work())
