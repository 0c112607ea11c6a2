"""The gate admits in order, refuses at once when full, and gets every place back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.admission import Gate
from service.errors import Overloaded


class Holder:
    """A task that holds a place of the gate until it is let go."""

    def __init__(self, gate: Gate) -> None:
        self.entered = asyncio.Event()
        self.let_go = asyncio.Event()
        self.fails = False
        self.task = asyncio.create_task(self._hold(gate))

    async def _hold(self, gate: Gate) -> float:
        async with gate.hold() as waited:
            self.entered.set()
            await self.let_go.wait()
            if self.fails:
                raise ValueError("inside the block")
            return waited


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def hold(gate: Gate, num: int) -> list[Holder]:
    holders = [Holder(gate) for _ in range(num)]
    await settle()
    return holders


async def end(*holders: Holder) -> None:
    for holder in holders:
        holder.let_go.set()
    await asyncio.gather(*(holder.task for holder in holders), return_exceptions=True)


async def test_so_many_enter_so_many_wait_the_next_is_refused() -> None:
    gate = Gate(limit=2, queue=3)
    holders = await hold(gate, 6)
    assert (gate.in_flight, gate.queued) == (2, 3)
    assert [holder.entered.is_set() for holder in holders] == [True, True, False, False, False, False]
    with pytest.raises(Overloaded) as caught:
        await holders[5].task
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1
    await end(*holders)
    assert (gate.in_flight, gate.queued) == (0, 0)


async def test_without_a_queue_the_first_beyond_the_limit_is_refused() -> None:
    gate = Gate(limit=1, queue=0)
    holders = await hold(gate, 2)
    with pytest.raises(Overloaded):
        await holders[1].task
    await end(holders[0])
    assert gate.in_flight == 0


async def test_who_waits_enters_in_the_order_of_arrival() -> None:
    gate = Gate(limit=1, queue=5)
    holders = await hold(gate, 6)
    for turn, holder in enumerate(holders):
        await settle()
        assert [other.entered.is_set() for other in holders] == [n <= turn for n in range(6)]
        holder.let_go.set()
    await end(*holders)


async def test_a_newcomer_does_not_overtake_one_who_was_just_let_in() -> None:
    gate = Gate(limit=1, queue=5)
    first, second = await hold(gate, 2)
    first.let_go.set()
    await first.task  # the place is handed over, `second` has not run yet
    newcomer = Holder(gate)
    await settle()
    assert (second.entered.is_set(), newcomer.entered.is_set()) == (True, False)
    assert gate.in_flight == 1
    await end(second, newcomer)


async def test_the_wait_is_told() -> None:
    gate = Gate(limit=1, queue=1)
    first, second = await hold(gate, 2)
    await asyncio.sleep(0.05)
    await end(first, second)
    assert first.task.result() < 0.001
    assert 0.04 < second.task.result() < 0.5


async def test_a_failure_inside_gives_the_place_back() -> None:
    gate = Gate(limit=1, queue=1)
    first, second = await hold(gate, 2)
    first.fails = True
    first.let_go.set()
    with pytest.raises(ValueError):
        await first.task
    await settle()
    assert second.entered.is_set()
    await end(second)
    assert (gate.in_flight, gate.queued) == (0, 0)


async def test_a_place_handed_to_one_who_is_cancelled_goes_on_to_the_next() -> None:
    gate = Gate(limit=1, queue=2)
    first, second, third = await hold(gate, 3)
    first.let_go.set()
    await asyncio.sleep(0)  # `first` leaves and hands over; `second` is cancelled before it runs
    second.task.cancel()
    await settle()
    assert not second.entered.is_set()
    assert third.entered.is_set()
    await end(third)
    assert (gate.in_flight, gate.queued) == (0, 0)


async def test_retry_after_grows_with_the_queue_and_the_length_of_the_work() -> None:
    gate = Gate(limit=1, queue=100)
    short = gate.retry_after_s()
    holders = await hold(gate, 30)
    assert gate.retry_after_s() > short
    await end(*holders)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "cancel", "fail"]), st.integers(0, 9)), max_size=60
)


@settings(max_examples=80, deadline=None)
@given(actions=ACTIONS, limit=st.integers(1, 3), queue=st.integers(0, 3), settled=st.booleans())
def test_after_any_mix_every_place_is_back(
    actions: list[tuple[str, int]], limit: int, queue: int, settled: bool
) -> None:
    async def play() -> None:
        gate = Gate(limit=limit, queue=queue)
        holders: list[Holder] = []
        for action, which in actions:
            if action == "come":
                holders.append(Holder(gate))
            elif holders:
                holder = holders[which % len(holders)]
                holder.fails = action == "fail"
                holder.task.cancel() if action == "cancel" else holder.let_go.set()
            await (settle() if settled else asyncio.sleep(0))
            assert 0 <= gate.in_flight <= limit
            assert 0 <= gate.queued <= queue
        await settle()
        inside = sum(holder.entered.is_set() and not holder.task.done() for holder in holders)
        assert gate.in_flight == inside
        assert not gate.queued or inside == limit, "nobody waits while a place is free"
        await end(*holders)
        assert (gate.in_flight, gate.queued) == (0, 0)

    asyncio.run(play())
