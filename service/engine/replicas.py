"""Several engines of one model version behind the protocol of one: least in flight, one second try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from service.engine.base import Delta, Engine, Message, Sampling
from service.errors import EngineDown, EngineError, EngineRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaState:
    """One replica as the metrics show it."""

    up: bool
    in_flight: int


class _Replica:
    """An engine with what is known about it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.in_flight = 0
        self.down_until = 0.0
        self.last_turn = 0

    @property
    def up(self) -> bool:
        return time.monotonic() >= self.down_until


class Replicas:
    """Spreads requests over `engines` (name → engine).

    A replica that raised `EngineDown` gets no request for `cool_down_s`, unless all are down. A request
    that failed before its first byte is tried once on another replica; one that was refused as
    malformed is not, nor one that has started.
    """

    def __init__(self, engines: Mapping[str, Engine], *, cool_down_s: float = 5.0) -> None:
        if not engines:
            raise ValueError("a model version needs at least one engine")
        self.num_retries = 0
        self._replicas = {name: _Replica(engine) for name, engine in engines.items()}
        self._cool_down_s = cool_down_s
        self._turn = 0

    async def generate(
        self, messages: Sequence[Message], *, sampling: Sampling, request_id: str, priority: int = 0
    ) -> AsyncGenerator[Delta, None]:
        """Stream the answer of one replica, or of a second one if the first failed before its first byte."""
        replica = self._pick()
        for last_try in (len(self._replicas) == 1, True):
            yielded = False
            deltas = self._tracked(replica, messages, sampling, request_id, priority)
            try:
                async with aclosing(deltas):
                    async for delta in deltas:
                        yielded = True
                        yield delta
                    return
            except EngineError as error:
                if last_try or yielded or error.started or isinstance(error, EngineRejected):
                    raise
            replica = self._pick(other_than=replica)
            self.num_retries += 1

    async def health(self) -> None:
        """Probe all replicas at once; raise the first one's `EngineError` if none answers."""
        replicas = list(self._replicas.values())
        outcomes = await asyncio.gather(
            *(replica.engine.health() for replica in replicas), return_exceptions=True
        )
        for replica, outcome in zip(replicas, outcomes, strict=True):
            if outcome is not None and not isinstance(outcome, EngineError):
                raise outcome
            self._note(replica, outcome)
        if all(outcomes):
            assert outcomes[0] is not None
            raise outcomes[0]

    async def load(self) -> int | None:
        """Return how many requests run or wait at all replicas that tell; raise if none can be asked."""
        asked = (replica.engine.load() for replica in self._replicas.values())
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        told = [outcome for outcome in outcomes if isinstance(outcome, int)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and (not told or not isinstance(outcome, EngineError)):
                raise outcome
        return sum(told) if told else None

    async def close(self) -> None:
        """Close all replicas, also when closing one fails."""
        closings = (replica.engine.close() for replica in self._replicas.values())
        for outcome in await asyncio.gather(*closings, return_exceptions=True):
            if outcome is not None:
                raise outcome

    def states(self) -> dict[str, ReplicaState]:
        """Return name → state, for metrics."""
        return {
            name: ReplicaState(up=replica.up, in_flight=replica.in_flight)
            for name, replica in self._replicas.items()
        }

    def _pick(self, *, other_than: _Replica | None = None) -> _Replica:
        """Return the replica with the least in flight, of equals the one whose turn is the longest ago."""
        others = [replica for replica in self._replicas.values() if replica is not other_than]
        candidates = [replica for replica in others if replica.up] or others
        chosen = min(candidates, key=lambda replica: (replica.in_flight, replica.last_turn))
        self._turn += 1
        chosen.last_turn = self._turn
        return chosen

    async def _tracked(
        self,
        replica: _Replica,
        messages: Sequence[Message],
        sampling: Sampling,
        request_id: str,
        priority: int,
    ) -> AsyncGenerator[Delta, None]:
        """Pass on the replica's answer, counting it and learning from how it ends."""
        replica.in_flight += 1
        try:
            answer = replica.engine.generate(
                messages, sampling=sampling, request_id=request_id, priority=priority
            )
            async with aclosing(answer):
                async for delta in answer:
                    yield delta
            self._note(replica, None)
        except EngineError as error:
            self._note(replica, error)
            raise
        finally:
            replica.in_flight -= 1

    def _note(self, replica: _Replica, outcome: EngineError | None) -> None:
        """Mark the replica up or down; a refusal or a full queue says nothing about its life."""
        if outcome is None:
            replica.down_until = 0.0
        elif isinstance(outcome, EngineDown):
            replica.down_until = time.monotonic() + self._cool_down_s
