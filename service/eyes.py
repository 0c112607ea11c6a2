"""The eyes: photos become captions by an open_clip model that runs in a process of its own.

They fail softly. A model that cannot be loaded, hangs or crashes costs the captions, with a reason, and never
the description.
"""

from __future__ import annotations

import asyncio
from array import array
from asyncio import Future, Task
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from models.eyes import Banks, CaptionCard, load_banks
from service.captions import Captions, Cosines, Look
from service.eyes_worker import EyesWorker, Refused, Setup
from service.photos import Pixels
from service.sightings import Seen, merged

__all__ = ["CLOSED", "FAILED", "LATE", "OVERLOADED", "UNAVAILABLE", "Eyes", "Setup"]

# Why a photo has no caption; UNAVAILABLE also stands for a service without eyes.
UNAVAILABLE: Final = "captions_unavailable"
FAILED: Final = "captions_failed"
LATE: Final = "captions_timeout"
OVERLOADED: Final = "captions_overloaded"
CLOSED: Final = "captions_closed"

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A photo on its way; one whose batch crashed is tried once more, alone."""

    photo: Pixels
    answer: Future[Cosines | str]
    tried: bool = False


class Eyes:
    """One captioning model. Needs no running loop to be made; the process starts with the first photo.

    Photos that wait while a batch is looked at make up the next, `max_batch` at most; beyond `max_waiting`
    none is taken. What the last `max_cached` photos showed is kept by their sha256 (0.6 kB each).
    A caller waits for `setup.timeout_s` at most, and so long may the worker take over a batch.
    """

    def __init__(
        self,
        card: CaptionCard,
        setup: Setup,
        *,
        banks: Banks | None = None,
        max_batch: int = 32,
        max_cached: int = 20_000,
        max_waiting: int = 256,
    ) -> None:
        self.card = card
        self._captions = Captions(banks or load_banks(card.banks), card.calibration)
        self._worker = EyesWorker(card, self._captions.texts, setup)
        self._timeout_s = setup.timeout_s
        self._max_batch, self._max_cached, self._max_waiting = max_batch, max_cached, max_waiting
        self._kept: OrderedDict[str, Cosines] = OrderedDict()
        self._waiting: dict[str, _Waiting] = {}  # by sha256: in the queue or at the worker
        self._queue: deque[_Waiting] = deque()
        self._serving: Task[None] | None = None
        self._closed = False

    @property
    def ready(self) -> bool:
        """Tell whether the model is loaded: a photo would be looked at at once."""
        return self._worker.ready

    @property
    def failure(self) -> str | None:
        """Return why there are no captions at present."""
        return self._worker.failure

    async def start(self) -> str | None:
        """Load the model now rather than with the first photo; return why it cannot be, if it cannot."""
        await asyncio.wait({self._served()})
        return self.failure

    async def look(self, photos: Sequence[Pixels]) -> list[Look]:
        """Return what each photo shows, in order; never raises, a photo without an answer has a reason."""
        found = [self._recalled(photo.sha256) or self._queued(photo) for photo in photos]
        if pending := {one for one in found if isinstance(one, Future) and not one.done()}:
            await asyncio.wait(pending, timeout=self._timeout_s)
        return [self._read(one) for one in found]

    def merged(
        self, looks: Sequence[Look], *, title: str, category: str | None, params: Mapping[str, str]
    ) -> Seen:
        """Return one caption for a listing's photos; what the seller says otherwise is left out, and told."""
        return merged(looks, self._captions, title=title, category=category, params=params)

    async def close(self) -> None:
        """End the process; photos on their way end without a caption."""
        self._closed = True
        self._settle_all(CLOSED)
        if self._serving:
            self._serving.cancel()
            await asyncio.wait({self._serving})
        await self._worker.close()

    def _recalled(self, sha256: str) -> Cosines | None:
        if (cosines := self._kept.get(sha256)) is not None:
            self._kept.move_to_end(sha256)
        return cosines

    def _read(self, found: Cosines | Future[Cosines | str]) -> Look:
        answer = found if isinstance(found, array) else found.result() if found.done() else LATE
        return Look(reason=answer) if isinstance(answer, str) else self._captions.look(answer)

    def _queued(self, photo: Pixels) -> Future[Cosines | str]:
        """Return the photo's answer to come; the same photo of two callers is looked at once."""
        if photo.sha256 in self._waiting:
            return self._waiting[photo.sha256].answer
        one = _Waiting(photo, asyncio.get_running_loop().create_future())
        if self._closed:
            one.answer.set_result(CLOSED)
        elif len(self._waiting) >= self._max_waiting:
            one.answer.set_result(OVERLOADED)
        else:
            self._waiting[photo.sha256] = one
            self._queue.append(one)
            self._served()
        return one.answer

    def _served(self) -> Task[None]:
        """Return the task that loads the model and empties the queue, begun if none runs."""
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        return self._serving

    async def _serve(self) -> None:
        try:
            while await self._worker.wake():
                if not self._queue:
                    return
                await self._look_at(self._next())
            self._settle_all(UNAVAILABLE)
        except Exception:  # whatever it is, it must not cost a description
            _log.exception("eyes failed", model=self.card.name)
            self._settle_all(FAILED)

    def _next(self) -> list[_Waiting]:
        """Take a batch off the queue; a photo that may have crashed one is alone."""
        batch = [self._queue.popleft()]
        while (
            not batch[0].tried and self._queue and not self._queue[0].tried and len(batch) < self._max_batch
        ):
            batch.append(self._queue.popleft())
        return batch

    async def _look_at(self, batch: list[_Waiting]) -> None:
        try:
            rows = await self._worker.ask([one.photo for one in batch])
        except TimeoutError:
            self._settle(batch, [LATE] * len(batch))
        except (EOFError, ConnectionError):
            self._settle_or_retry(batch)
        except Refused:
            self._settle(batch, [FAILED] * len(batch))
        else:
            for one, row in zip(batch, rows, strict=True):
                self._kept[one.photo.sha256] = row
            while len(self._kept) > self._max_cached:
                self._kept.popitem(last=False)
            self._settle(batch, rows)

    def _settle_or_retry(self, batch: Sequence[_Waiting]) -> None:
        """Look at the photos of a crashed batch one by one; a photo that crashes alone is given up."""
        lost = [one for one in batch if one.tried]
        self._settle(lost, [FAILED] * len(lost))
        for one in reversed([one for one in batch if not one.tried]):
            one.tried = True
            self._queue.appendleft(one)

    def _settle(self, batch: Sequence[_Waiting], answers: Sequence[Cosines | str]) -> None:
        for one, answer in zip(batch, answers, strict=True):
            self._waiting.pop(one.photo.sha256, None)
            if not one.answer.done():
                one.answer.set_result(answer)

    def _settle_all(self, reason: str) -> None:
        self._queue.clear()
        everyone = list(self._waiting.values())
        self._settle(everyone, [reason] * len(everyone))
