"""Bulk in one process, with scripted answers: order, bad rows, engine trouble, resuming, full disks."""

from __future__ import annotations

import asyncio
import json
import random
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.answers import AnswersError
from service.bulk import loop as bulk_module
from service.bulk.ledger import Ledger, OutputError
from service.bulk.loop import ATTEMPTS, Answered, EngineGone, bulk
from service.bulk.rows import InputError, RowFault, Rows
from service.errors import (
    DeadlineExceeded,
    EngineAborted,
    EngineDown,
    EngineOverloaded,
    EngineRejected,
    InvalidRequest,
    Overloaded,
    ServiceError,
)

ABOUT = {"task": "extract-model", "input": {"bytes": 1}, "model": "a", "normalizer": "1"}
Scripted = Callable[[dict[str, Any]], Awaitable[Answered]]


def rows(*items: Any, start: int = 0) -> Rows:
    return ((number, item) for number, item in enumerate(items) if number >= start)


def listings(num: int) -> list[dict[str, Any]]:
    return [{"item_id": number, "seller_id": "s", "title": f"Стол {number}"} for number in range(num)]


async def at_once(fields: dict[str, Any]) -> Answered:
    """Answer with the title as the model; without a title there is none."""
    return Answered(result={"model": fields.get("title")}, recalled=False)


def failing(*errors: Exception, only: str = "") -> Scripted:
    """Fail with the errors one after the other on each title that holds `only`, then answer."""
    met: Counter[str] = Counter()

    async def answer(fields: dict[str, Any]) -> Answered:
        title = fields["title"]
        if only in title and (number := met[title]) < len(errors):
            met[title] += 1
            raise errors[number]
        return await at_once(fields)

    return answer


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(bulk_module, "LONGEST_PAUSE_S", 0.005)


class Place:
    """A folder with the output of a run."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out.jsonl"
        self.errors = folder / "out.errors.jsonl"
        self.state = folder / "out.state.json"
        self.seen: list[bool] = []

    async def run(
        self,
        items: list[Any],
        answer: Scripted = at_once,
        *,
        about: dict[str, Any] = ABOUT,
        restart: bool = False,
        source: Callable[..., Rows] = rows,
        **options: Any,
    ) -> int:
        """Run, and return the row where it began."""
        with Ledger(self.out) as ledger:
            ledger.open(about, restart=restart)
            begin = ledger.totals.rows
            await bulk(
                source(*items, start=begin), answer=answer, ledger=ledger, seen=self.seen.append, **options
            )
            return begin

    def read(self) -> list[dict[str, Any]]:
        """Return all entries by row, after checking that each row has one and each file is in order."""
        files = [list(map(json.loads, path.read_bytes().splitlines())) for path in (self.out, self.errors)]
        assert all("result" in entry for entry in files[0])
        assert all("problem" in entry for entry in files[1])
        for entries in files:
            assert [entry["row"] for entry in entries] == sorted(entry["row"] for entry in entries)
        joined = sorted(files[0] + files[1], key=lambda entry: entry["row"])
        assert [entry["row"] for entry in joined] == list(range(len(joined)))
        return joined

    def codes(self) -> list[str]:
        return [entry["problem"]["code"] if "problem" in entry else "ok" for entry in self.read()]

    @property
    def content(self) -> tuple[bytes, bytes]:
        return self.out.read_bytes(), self.errors.read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_results_are_in_order_however_long_each_takes(place: Place) -> None:
    draw = random.Random(1)

    async def answer(fields: dict[str, Any]) -> Answered:
        await asyncio.sleep(draw.uniform(0, 0.01))
        return await at_once(fields)

    await place.run(listings(300), answer)
    assert place.read()[7] == {
        "row": 7, "item_id": 7, "seller_id": "s", "category": None, "title": "Стол 7",
        "result": {"model": "Стол 7"},
    }  # fmt: skip
    assert len(place.read()) == len(place.seen) == 300


async def test_no_more_are_in_flight_than_allowed_and_all_places_are_used(place: Place) -> None:
    running = highest = 0

    async def answer(fields: dict[str, Any]) -> Answered:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.001)
        running -= 1
        return await at_once(fields)

    await place.run(listings(100), answer, in_flight=7)
    assert highest == 7


async def test_one_slow_row_neither_stops_the_others_nor_fills_the_memory(place: Place) -> None:
    read = 0
    others_done = asyncio.Event()

    def source(*items: Any, start: int) -> Rows:
        nonlocal read
        for number, item in rows(*items, start=start):
            read += 1
            yield number, item

    async def answer(fields: dict[str, Any]) -> Answered:
        if fields["title"] == "Стол 0":
            await others_done.wait()
        if fields["title"] == "Стол 15":
            others_done.set()
        return await at_once(fields)

    assert bulk_module.READ_AHEAD * 4 >= 16
    await place.run(listings(16), answer, in_flight=4, source=source)
    others_done.clear()
    running = asyncio.create_task(
        place.run(
            [{"title": "Стол 0"}] + [{"title": "Стул"}] * 9999,
            answer,
            restart=True,
            in_flight=4,
            source=source,
        )
    )
    await asyncio.sleep(0.1)
    assert read < 100
    others_done.set()
    await running


async def test_bad_rows_of_every_kind_lie_beside_the_output(place: Place) -> None:
    async def answer(fields: dict[str, Any]) -> Answered:
        match fields["title"]:
            case "invalid":
                raise InvalidRequest("no", errors=[{"loc": ["title"], "msg": "too long"}])
            case "rejected":
                raise EngineRejected("The engine answered 400")
            case "unexpected":
                raise ZeroDivisionError("Иван Петров")
        return await at_once(fields)

    items = [
        {"title": "first", "item_id": 1},
        RowFault("bad_json", "the line is not JSON"),
        {"title": "invalid", "item_id": "a"},
        {"title": "rejected", "item_id": 3},
        {"title": "unexpected", "item_id": 4},
        {"title": "x", "item_id": [5]},
        {"title": "x", "item_id": 6, "seller_id": {}},
        {"title": "last", "item_id": 7},
    ]
    await place.run(items, answer)
    assert place.codes() == [
        "ok", "bad_json", "invalid_request", "engine_rejected", "internal_error", "bad_item_id",
        "bad_seller_id", "ok",
    ]  # fmt: skip
    entries = place.read()
    assert [entry["item_id"] for entry in entries] == [1, None, "a", 3, 4, None, 6, 7]
    assert entries[2]["problem"]["errors"] == [{"loc": ["title"], "msg": "too long"}]
    assert "Петров" not in place.errors.read_text()
    assert all("request_id" not in entry.get("problem", {}) for entry in entries)


@pytest.mark.parametrize(
    "trouble",
    [EngineDown(), EngineDown(started=True), EngineOverloaded(), Overloaded(), DeadlineExceeded()],
    ids=lambda error: error.code,
)
async def test_engine_trouble_is_no_rows_fault(place: Place, trouble: ServiceError) -> None:
    await place.run(listings(40), failing(*[trouble] * 8))
    assert place.codes() == ["ok"] * 40


async def test_an_answer_that_keeps_breaking_off_is_the_rows_fault(place: Place) -> None:
    broken = EngineAborted("gave up")
    await place.run(listings(20), failing(*[broken] * (ATTEMPTS - 1), only="Стол 7"))
    assert place.codes() == ["ok"] * 20
    await place.run(listings(20), failing(*[broken] * ATTEMPTS, only="Стол 7"), restart=True)
    assert place.codes() == ["ok"] * 7 + ["engine_aborted"] + ["ok"] * 12


async def test_an_engine_that_stays_away_stops_the_run_which_goes_on_later(place: Place) -> None:
    gone = failing(*[EngineDown("cannot be reached")] * 10_000, only="2")  # from row 2 on, one in ten
    with pytest.raises(EngineGone, match=r"no row was answered .* cannot be reached \(engine_down\)"):
        await place.run(listings(100), gone, in_flight=2, patience_s=0.05)
    assert len(place.read()) == 2
    assert await place.run(listings(100)) == 2
    assert place.codes() == ["ok"] * 100


async def test_answers_in_between_renew_the_patience(place: Place) -> None:
    async def answer(fields: dict[str, Any]) -> Answered:
        await asyncio.sleep(0.01)
        return await at_once(fields)

    met: set[str] = set()

    async def every_other(fields: dict[str, Any]) -> Answered:
        if fields["title"] not in met:
            met.add(fields["title"])
            raise EngineOverloaded
        return await answer(fields)

    await place.run(listings(40), every_other, in_flight=1, patience_s=0.2)  # 0.4 s in all
    assert place.codes() == ["ok"] * 40


async def test_a_broken_store_stops_the_run_at_once(place: Place) -> None:
    with pytest.raises(AnswersError):
        await place.run(listings(100), failing(AnswersError("disk full"), only="Стол 5"), in_flight=1)
    assert place.codes() == ["ok"] * 5


async def test_equal_rows_in_flight_are_asked_once(place: Place) -> None:
    asked = 0

    async def answer(fields: dict[str, Any]) -> Answered:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return await at_once(fields)

    await place.run(
        [{"item_id": number, "seller_id": number, "title": "Стол"} for number in range(50)], answer
    )
    assert asked == 1
    assert [entry["item_id"] for entry in place.read()] == list(range(50))
    assert place.seen == [False] + [True] * 49


async def test_an_input_that_breaks_off_keeps_the_rows_before(place: Place) -> None:
    def source(*items: Any, start: int) -> Rows:
        yield from rows(*items, start=start)
        raise InputError("in.jsonl.gz: cannot be read from row 50 on")

    with pytest.raises(InputError, match="row 50"):
        await place.run(listings(50), source=source)
    assert place.codes() == ["ok"] * 50


async def test_cancelled_it_keeps_what_is_answered_and_drops_the_rest(place: Place) -> None:
    started = asyncio.Event()
    dropped = 0

    async def answer(fields: dict[str, Any]) -> Answered:
        nonlocal dropped
        if int(fields["title"].split()[1]) < 10:
            return await at_once(fields)
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            dropped += 1
        raise AssertionError

    running = asyncio.create_task(place.run(listings(1000), answer, in_flight=8))
    await started.wait()
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert dropped == 8
    assert place.codes() == ["ok"] * 10
    assert await place.run(listings(1000)) == 10
    assert place.codes() == ["ok"] * 1000


def mixed(num: int) -> list[Any]:
    """Rows of which some are bad."""
    draw = random.Random(1)
    return [RowFault("bad_json", "no") if draw.random() < 0.3 else item for item in listings(num)]


async def test_from_any_torn_state_the_end_is_the_same(place: Place) -> None:
    items = mixed(60)
    await place.run(items)
    whole = place.content
    draw = random.Random(2)
    for _ in range(100):
        for path, content in zip((place.out, place.errors), whole, strict=True):
            path.write_bytes(content[: draw.randrange(len(content) + 1)])
        if draw.random() < 0.3:  # what a machine without power leaves at the end of a file
            with place.out.open("ab") as file:
                file.write(b"\0" * 100)
        begin = await place.run(items)
        assert 0 <= begin <= 60
        assert place.content == whole


async def test_a_finished_run_has_nothing_left_to_do(place: Place) -> None:
    await place.run(mixed(50))
    before = place.content
    assert await place.run(mixed(50)) == 50
    assert place.content == before


@pytest.mark.parametrize("name", ABOUT)
async def test_another_input_model_or_normalizer_is_refused_by_name(place: Place, name: str) -> None:
    await place.run(listings(5))
    before = place.content
    with pytest.raises(OutputError, match=rf"another {name}; --restart"):
        await place.run(listings(5), about={**ABOUT, name: "other"})
    assert place.content == before
    assert await place.run(listings(9), about={**ABOUT, name: "other"}, restart=True) == 0
    assert place.codes() == ["ok"] * 9


async def test_a_file_of_something_else_is_not_overwritten(place: Place) -> None:
    place.out.write_text("precious\n")
    with pytest.raises(OutputError, match="--restart"):
        await place.run(listings(5))
    assert place.out.read_text() == "precious\n"


async def test_a_torn_state_file_is_refused(place: Place) -> None:
    await place.run(listings(5))
    place.state.write_bytes(b'{"task"')
    with pytest.raises(OutputError, match="--restart"):
        await place.run(listings(5))


async def test_two_runs_do_not_write_one_output(place: Place) -> None:
    with Ledger(place.out) as ledger:
        ledger.open(ABOUT, restart=False)
        with pytest.raises(OutputError, match="another process"):
            await place.run(listings(5))


def test_the_output_is_jsonl(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.jsonl"):
        Ledger(tmp_path / "out.parquet")


@contextmanager
def full_after(num_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: writes then fail half-way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_told_and_the_run_goes_on_later(place: Place) -> None:
    items = mixed(5000)
    with full_after(100_001), pytest.raises(OutputError) as caught:
        await place.run(items)
    assert str(place.out) in str(caught.value)
    assert "goes on" in str(caught.value)
    assert place.out.stat().st_size == 100_001
    begin = await place.run(items)
    assert 0 < begin < 5000
    resumed = place.content
    await place.run(items, restart=True)
    assert place.content == resumed


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        await Place(tmp_path / "missing").run(listings(1))
