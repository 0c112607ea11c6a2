"""One process or many: they agree on sums, and one that dies is named by the others."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.training import processes
from training.errors import TrainingError
from training.trainer import parallel
from training.trainer.peers import together


def tell() -> dict[str, Any]:
    here = parallel.world()
    here.barrier()
    return {
        "sum": here.sum([0.1 * (here.rank + 1), here.rank]),
        "heard": here.broadcast_object({"rank": here.rank}),
        "main": here.main,
        "mesh": (here.mesh().mesh_dim_names, here.mesh().size()),
        "threads": torch.get_num_threads(),
        "places": len(set(here.places)),
    }


def die(victim: int, signal_number: int) -> None:
    here = parallel.world()
    if here.rank == victim:
        if not signal_number:
            raise SystemExit(1)
        os.kill(os.getpid(), signal_number)
    with here.collective_errors(lambda: 7):
        for _ in range(10):
            dist.all_reduce(torch.ones(1000))
            time.sleep(0.01)


def fail_in_one() -> None:
    rank = parallel.world().rank

    def work() -> int:
        if rank == 1:
            raise TrainingError("у одного не вышло")
        return rank

    together(work)


def test_a_process_alone_needs_no_launcher() -> None:
    here = parallel.world()
    assert here is parallel.world() and here.main and here.size == 1
    assert here.sum([1.5, float("inf")]) == [1.5, float("inf")]
    assert here.broadcast_object("слово") == "слово"
    assert here.mesh().size() == 1


def test_processes_agree_to_the_bit() -> None:
    told = processes.run(tell, size=4)
    expected = 0.1 + 0.1 * 2 + 0.1 * 3 + 0.1 * 4
    for rank, one in enumerate(told):
        assert one["sum"] == [expected, 6.0] and one["heard"] == {"rank": 0}
        assert one["main"] == (rank == 0) and one["mesh"] == (("shard",), 4) and one["places"] == 4
        assert one["threads"] == max(1, len(os.sched_getaffinity(0)) // 4)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, 0])
def test_one_of_four_that_dies_is_named_by_the_others(signal_number: int) -> None:
    told = processes.run(die, 2, signal_number, size=4)
    assert told.pop(2) is None
    line = "process 2 of 4 is gone; the last checkpoint is step 7: start the same command again to go on"
    assert told == [f"TrainingError: {line}"] * 3


def test_what_fails_in_one_process_fails_in_all() -> None:
    assert processes.run(fail_in_one, size=2) == ["TrainingError: у одного не вышло"] * 2


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("gloo")])
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    here = parallel.World(0, 4, 0, torch.device("cpu"), (("elsewhere", 1),) * 4, dist.HashStore())
    with pytest.raises(type(error), match=str(error)), here.collective_errors(lambda: None):
        raise error


def test_a_process_lost_on_another_machine_is_told_without_its_number() -> None:
    here = parallel.World(0, 4, 0, torch.device("cpu"), (("elsewhere", 1),) * 4, dist.HashStore())
    with (
        pytest.raises(TrainingError, match="a process of 4 is gone; there is no checkpoint yet"),
        here.collective_errors(lambda: None),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.1]:7")
