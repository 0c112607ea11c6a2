"""The spike guard in the loop: planted noise is found at its step, left out, and costs nothing in the end."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.training.looping import Bench
from training.trainer.records import curve, read_log

STEPS, SPIKE = 60, 45
GUARD = "[training.guard]\nwarm_up = 20\n"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("spikes"))


@pytest.fixture(scope="module")
def long(bench: Bench) -> Path:
    return bench.write(GUARD, steps=STEPS, every=20, name="long")


def test_a_planted_spike_is_found_at_its_step_skipped_and_forgotten(bench: Bench, long: Path) -> None:
    code, text = bench.run("clean", run_file=long)
    assert code == 0, text
    assert not (bench.folder / "clean" / "rewinds.json").exists()
    code, text = bench.run("spiked", run_file=long, store=bench.poisoned("one", steps=[SPIKE]))
    assert code == 0, text
    told = curve(read_log(bench.folder / "spiked" / "log.jsonl"))
    [rewind] = told.rewinds
    assert (rewind["step"], rewind["to_step"]) == (SPIKE, 40)
    assert rewind["skipped"] == [SPIKE * 8, (SPIKE + 1) * 8]
    assert "spike at step 45, back to 40" in text
    spiked, clean = bench.losses("spiked"), bench.losses("clean")
    assert spiked[:SPIKE] == clean[:SPIKE], "up to the spike nothing is different"
    assert abs(sum(spiked[-5:]) - sum(clean[-5:])) / 5 < 0.1


def test_killed_around_a_rewind_it_goes_on_to_the_same_bits(bench: Bench, long: Path) -> None:
    store = bench.folder / "store-one"
    for kill_at in random.Random(1).sample(range(38, 55), 2):
        name = f"killed-{kill_at}"
        code, _ = bench.run(name, run_file=long, store=store, KILL_AT=str(kill_at))
        assert code == -signal.SIGKILL
        code, text = bench.run(name, run_file=long, store=store)
        assert code == 0, text
        assert bench.losses(name) == bench.losses("spiked")


def test_killed_before_a_rewind_is_in_the_log_it_is_told_of_later(bench: Bench, long: Path) -> None:
    store = bench.folder / "store-one"
    code, _ = bench.run("untold", run_file=long, store=store, KILL_AT_REWIND="yes")
    assert code == -signal.SIGKILL
    assert not curve(read_log(bench.folder / "untold" / "log.jsonl")).rewinds
    code, text = bench.run("untold", run_file=long, store=store)
    assert code == 0, text
    ours, theirs = (
        curve(read_log(bench.folder / name / "log.jsonl")).rewinds for name in ("untold", "spiked")
    )
    assert [one["skipped"] for one in ours] == [one["skipped"] for one in theirs]
    assert bench.losses("untold") == bench.losses("spiked")


def test_a_second_spike_in_the_same_place_skips_further_and_too_many_end_the_run(bench: Bench) -> None:
    run_file = bench.write(GUARD + "tries = 2\n", steps=STEPS, every=20, name="often")
    store = bench.poisoned("many", steps=list(range(SPIKE, STEPS)))
    code, text = bench.run("often", run_file=run_file, store=store)
    assert code == 1
    [line] = [line for line in text.splitlines() if line.startswith("SpikeError")]
    assert "2 rewinds in this place did not help" in line and "learning_rate" in line
    told = curve(read_log(bench.folder / "often" / "log.jsonl")).rewinds
    assert [one["attempt"] for one in told] == [1, 2]
    lengths = [end - begin for begin, end in (one["skipped"] for one in told)]
    assert lengths[1] >= 2 * lengths[0]
    kept = sorted(path.name for path in (bench.folder / "often" / "checkpoints").iterdir())
    assert "step-00000020" in kept, "the last good state is intact"


def test_a_small_spike_may_pass(bench: Bench) -> None:
    run_file = bench.write(GUARD + "passes_below = 20.0\n", steps=STEPS, every=20, name="patient")
    code, text = bench.run("patient", run_file=run_file, store=bench.folder / "store-one")
    assert code == 0, text
    assert not curve(read_log(bench.folder / "patient" / "log.jsonl")).rewinds


def test_nan_at_step_0_says_that_it_is_not_the_data(bench: Bench) -> None:
    run_file = bench.folder / "nan.toml"
    run_file.write_text(bench.run_file.read_text())
    config = bench.base / "config.json"
    kept = config.read_text()
    try:
        config.write_text(kept.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": -1e9'))
        assert config.read_text() != kept
        code, text = bench.run("nan", run_file=run_file)
    finally:
        config.write_text(kept)
    assert code == 1
    [line] = [line for line in text.splitlines() if line.startswith("SpikeError")]
    assert "not the data" in line and "precision" in line
