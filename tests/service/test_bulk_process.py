"""`python -m service bulk` and `group` as a person runs, kills and repeats them; the engine is scripted."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.card import CardError
from service.bulk.ledger import OutputError
from service.bulk.offline import BulkOptions, run_bulk
from service.bulk.rows import InputError
from service.deployment import DeploymentError
from service.settings import Settings
from tests.service.service_process import deployment_text, fake_url, service_process

NUM = 600
MODEL = '{"brand":"Apple","models":["iPhone 13 Pro"]}'


def row(number: int) -> dict[str, Any]:
    title = f"Apple iPhone 13 Pro {number} ГБ\u2028синий" if number % 3 else f"Стол письменный {number}"
    params = {"Цвет": "синий", "Состояние": None if number % 2 else "Б/у"}
    seller = None if number % 10 == 9 else number % 4
    return {"item_id": number, "seller_id": seller, "category": "Телефоны", "title": title, "params": params}


ROWS = [row(number) for number in range(NUM)]


def write_jsonl(path: Path, *, bad: dict[int, bytes] | None = None) -> Path:
    lines = [orjson.dumps(one) for one in ROWS]
    for number, line in (bad or {}).items():
        lines[number] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@dataclass
class Run:
    """How a run ended and all that it printed."""

    status: int
    output: str


class Runs:
    """Runs of the command in one folder, against one engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deployment = deployment_text(fake_url(text=MODEL, first_token_ms=5, token_ms=5, slots=64))

    async def __call__(
        self,
        *arguments: str,
        kill_after: float | None = None,
        wait_for: Path | None = None,
        sig: signal.Signals = signal.SIGKILL,
        **environment: str,
    ) -> Run:
        """Run to the end, or send a signal some time after a file has begun to grow."""
        async with service_process(
            self.folder, self.deployment, arguments=arguments, **environment
        ) as service:
            process = service.process
            while (
                wait_for
                and process.returncode is None
                and not (wait_for.exists() and wait_for.stat().st_size)
            ):
                await asyncio.sleep(0.005)
            if kill_after is not None:
                await asyncio.sleep(kill_after)
                if process.returncode is None:
                    process.send_signal(sig)
            status = await asyncio.wait_for(process.wait(), 60)
            return Run(status, service.output)

    async def bulk(self, source: Path, out: Path, *more: str, **options: Any) -> Run:
        return await self("bulk", "extract-model", str(source), str(out), *more, **options)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def contents(out: Path) -> tuple[bytes, bytes]:
    return out.read_bytes(), out.with_suffix(".errors.jsonl").read_bytes()


BAD = {
    7: b"{torn",
    8: b"\xff\xfe",
    9: b"[]",
    300: b'{"title": ' + b'"x"' * 10,
    NUM - 1: b"",
    400: b'{"title": [1]}',
}


async def test_killed_at_any_moment_it_ends_as_if_undisturbed(runs: Runs, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", bad=BAD)
    out, calm = tmp_path / "out.jsonl", tmp_path / "calm.jsonl"
    undisturbed = await runs.bulk(source, calm, LLM_ANSWERS=":memory:")
    assert undisturbed.status == 0, undisturbed.output
    draw = random.Random(3)
    num_kills = 0
    while True:
        kill_after = draw.uniform(0, 0.4) if num_kills < 4 else None
        grown = None if num_kills % 2 else out
        done = await runs.bulk(source, out, kill_after=kill_after, wait_for=grown)
        if done.status == 0:
            break
        assert done.status == -signal.SIGKILL, done.output
        num_kills += 1
    assert num_kills >= 2
    assert contents(out) == contents(calm)
    rows = [[json.loads(line)["row"] for line in content.split(b"\n")[:-1]] for content in contents(calm)]
    assert sorted(rows[0] + rows[1]) == list(range(NUM))
    assert set(rows[1]) == set(BAD)


async def test_what_comes_again_comes_from_the_store_and_is_the_same(runs: Runs, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl")
    first = await runs.bulk(source, tmp_path / "out.jsonl")
    before = contents(tmp_path / "out.jsonl")
    again = await runs.bulk(source, tmp_path / "out.jsonl", "--restart")
    assert contents(tmp_path / "out.jsonl") == before
    assert "600 rows: 600 answered, 400 of them with a model (67%), 0 bad" in first.output
    assert "0% from the store" in first.output
    assert "67% from the store" in again.output  # for the others no question is asked
    done = await runs.bulk(source, tmp_path / "out.jsonl")
    assert "this run" not in done.output
    assert contents(tmp_path / "out.jsonl") == before
    for line in before[0].splitlines():
        assert not {"id", "usage", "timings_ms"} & json.loads(line)["result"].keys()


async def test_parquet_and_jsonl_give_the_same(runs: Runs, tmp_path: Path) -> None:
    table = pa.table(
        {
            **{
                name: pa.array([one[name] for one in ROWS])
                for name in ("item_id", "seller_id", "category", "title")
            },
            "params": pa.array(
                [list(one["params"].items()) for one in ROWS], pa.map_(pa.string(), pa.string())
            ),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=250)
    await runs.bulk(write_jsonl(tmp_path / "in.jsonl"), tmp_path / "a.jsonl")
    done = await runs.bulk(tmp_path / "in.parquet", tmp_path / "b.jsonl")
    assert done.status == 0, done.output
    assert contents(tmp_path / "a.jsonl") == contents(tmp_path / "b.jsonl")


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_it_cleanly_and_it_says_how_to_go_on(
    runs: Runs, tmp_path: Path, sig: signal.Signals
) -> None:
    source, out = write_jsonl(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    stopped = await runs.bulk(source, out, "--in-flight", "2", wait_for=out, kill_after=0.1, sig=sig)
    assert stopped.status == 130, stopped.output
    num = len(out.read_bytes().splitlines())
    assert 0 < num < NUM
    assert out.read_bytes().endswith(b"}\n")
    assert f"stopped: {num} of 600 rows are done; the same command goes on from there" in stopped.output
    assert "Traceback" not in stopped.output
    assert (await runs.bulk(source, out)).status == 0
    assert len(out.read_bytes().splitlines()) == NUM


async def test_an_engine_that_goes_away_is_waited_for(runs: Runs, tmp_path: Path) -> None:
    runs.deployment = deployment_text(fake_url(text=MODEL, token_ms=1, max_requests=4))  # of 32 in flight
    done = await runs.bulk(write_jsonl(tmp_path / "in.jsonl"), tmp_path / "out.jsonl", "--limit", "100")
    assert done.status == 0, done.output
    assert "100 rows: 100 answered" in done.output
    assert "engine_overloaded" in done.output


async def test_what_cannot_run_is_told_by_its_cause(tmp_path: Path) -> None:
    source, out = write_jsonl(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    deployment = tmp_path / "deployment.toml"
    deployment.write_text(deployment_text("fake://?text=%7B%7D"))
    settings = Settings(deployment=deployment, cache=tmp_path)

    async def run(source: Path, out: Path, **options: Any) -> None:
        await run_bulk(BulkOptions(task="extract-model", source=source, out=out, **options), settings)

    await run(source, out, limit=1)
    other, new = write_jsonl(tmp_path / "other.jsonl", bad={0: b"{}"}), tmp_path / "new.jsonl"
    (tmp_path / "in.csv").write_text("title\nСтол\n")
    no_card = tmp_path / "no_card.toml"
    no_card.write_text(deployment_text("fake://", card="no-such"))
    for attempt, error, told in [
        (run(tmp_path / "in.csv", new), InputError, "unknown kind of file"),
        (run(tmp_path / "missing.jsonl", new), InputError, "No such file"),
        (run(source, source), OutputError, "is the input"),
        (run(source, tmp_path / "out.parquet"), OutputError, "must end in .jsonl"),
        (run(other, out), OutputError, "was begun with another input; --restart"),
        (run(source, new, model_version="none"), DeploymentError, "has no version none, only a"),
        (run(source, new, deployment=tmp_path / "none.toml"), DeploymentError, "none.toml"),
        (run(source, new, deployment=no_card), CardError, "no-such"),
    ]:
        with pytest.raises(error) as caught:
            await attempt
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not new.exists()


async def test_a_fault_of_the_command_line_is_one_line_and_a_status(runs: Runs, tmp_path: Path) -> None:
    missing = await runs.bulk(tmp_path / "missing.jsonl", tmp_path / "out.jsonl")
    assert missing.status == 1
    assert missing.output == f"error: {tmp_path}/missing.jsonl: No such file or directory\n"
    nonsense = await runs.bulk(tmp_path / "missing.jsonl", tmp_path / "out.jsonl", "--in-flight", "0")
    assert nonsense.status == 2
    assert "--in-flight" in nonsense.output


async def test_a_store_that_cannot_be_used_is_told(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_text("no database")
    source = write_jsonl(tmp_path / "in.jsonl")
    done = await runs.bulk(source, tmp_path / "out.jsonl", LLM_ANSWERS=str(tmp_path / "answers.sqlite"))
    assert done.status == 1
    assert "error: " in done.output
    assert "answers.sqlite" in done.output.splitlines()[-1]


async def test_raw_listings_are_grouped_by_way_of_bulk(runs: Runs, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", bad={4: b"{torn"})
    shown = await runs("group", str(source), "--json", str(tmp_path / "groups.json"), "--top", "2")
    assert shown.status == 0, shown.output
    assert (tmp_path / "in.models.jsonl").exists()
    groups = json.loads((tmp_path / "groups.json").read_bytes())
    assert sorted(group["seller_id"] for group in groups) == [0, 1, 2, 3]
    assert {item["item_id"] for group in groups for item in group["items"]} == {
        one["item_id"]
        for one in ROWS
        if one["item_id"] % 3 and one["seller_id"] is not None and one["item_id"] != 4
    }
    assert "[iPhone 13 Pro]" in shown.output
    assert "no seller_id" in shown.output
    again = await runs("group", str(tmp_path / "in.models.jsonl"), "--json", str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "groups.json").read_bytes()
    assert "version is live" not in again.output  # no engine is needed for what is answered
