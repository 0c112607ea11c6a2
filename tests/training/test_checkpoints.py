"""Checkpoints are whole or absent, whatever happens, and go from any number of processes to any other."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training import processes, sharded
from training.errors import CheckpointError


@pytest.fixture
def room() -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = Path(f"/tmp/room-{os.getpid()}")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("нет права на mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_any_number_of_processes_reads_what_any_other_saved(tmp_path: Path) -> None:
    for step, (writers, readers) in enumerate(((1, 2), (2, 4), (4, 1)), start=1):
        before = processes.run(sharded.save, tmp_path, step, size=writers)
        after = processes.run(sharded.load, tmp_path, size=readers)
        assert isinstance(before[0], dict) and not any(name.startswith("1.") for name in before[0])
        assert after == [before[0]] * readers


def test_the_state_is_the_one_at_the_save_though_the_loop_goes_on(tmp_path: Path) -> None:
    kept = sharded.saved(tmp_path)
    tensors, facts = sharded.numbers(5), {"skips": [1]}
    kept.save(5, tensors=tensors, facts=facts)
    tensors["a"].zero_()
    facts["skips"].append(2)
    (found,) = kept.found()
    assert kept.load(found, tensors=tensors) == {"skips": [1]}
    assert torch.equal(tensors["a"], sharded.numbers(5)["a"])


def test_what_is_kept_follows_the_rule(tmp_path: Path) -> None:
    kept = sharded.saved(tmp_path, 10, 20, 30, 40, 50, keep=2, milestone=20, every_steps=10)
    assert sharded.steps(kept) == [20, 40, 50]
    kept.forget([50])
    assert sharded.steps(kept) == [20, 40] and kept.last_step() == 40
    assert [step for step in range(31) if kept.due(step)] == [10, 20, 30]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000040"]


def test_a_step_saved_again_replaces_the_one_of_before(tmp_path: Path) -> None:
    kept = sharded.saved(tmp_path, 1)
    kept.save(1, tensors=sharded.numbers(8), facts={})
    tensors = sharded.numbers(0)
    (found,) = kept.found()
    kept.load(found, tensors=tensors)
    assert tensors["b"].tolist() == [-8.0] * 3


def test_kill_at_any_moment_leaves_the_last_good_ones(tmp_path: Path) -> None:
    rng, reached = random.Random(3), 0
    for _ in range(6):
        ((process, *_),) = processes.start(sharded.save_for_ever, tmp_path, size=1)
        until = time.monotonic() + 30
        while not list(tmp_path.glob(f"step-{reached + 1:08d}")) and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        kept = sharded.saved(tmp_path)
        assert not list(tmp_path.glob(".*"))
        tensors = sharded.numbers(0)
        found = kept.restore(kept.found(), tensors=tensors)
        assert found is not None and found.step > reached
        assert torch.equal(tensors["a"], sharded.numbers(found.step)["a"])
        reached = found.step


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("short", [0, 1])
def test_no_room_for_one_process_is_one_line_for_all(tmp_path: Path, background: bool, short: int) -> None:
    told = processes.run(sharded.save_with_little_room, tmp_path, background, short, size=2)
    for one in told:
        assert "CheckpointError: the checkpoint of step 2 cannot be written: no room in" in one
        assert "it takes 1.5 MiB" in one and "the checkpoint of step 1 is intact" in one
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_full_disk_leaves_the_checkpoint_before_it(room: Path) -> None:
    kept = sharded.saved(room, 1)
    kept.save(2, tensors=sharded.numbers(2) | {"more": torch.ones(200_000)}, facts={})
    with pytest.raises(CheckpointError, match=r"step 2 .* no room .* takes 1\.5 MiB, .* step 1 is intact"):
        kept.wait()
    assert [path.name for path in room.iterdir()] == ["step-00000001"]
    assert kept.load(kept.found()[0], tensors=sharded.numbers(0))["step"] == 1


def test_a_process_that_dies_in_a_save_leaves_the_last_good_one(tmp_path: Path) -> None:
    told = processes.run(sharded.die_in_a_save, tmp_path, size=2)
    assert told[1] is None
    assert told[0].startswith("TrainingError: process 1 of 2 is gone; the last checkpoint is step 1")
    assert sharded.steps(sharded.saved(tmp_path)) == [1]
