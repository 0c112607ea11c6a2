"""torchrun starts the processes; what it sets is read, and told where it is not whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from training.errors import ConfigError
from training.trainer import parallel


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "x"}, "RANK is no number: 'x'"),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, "process 1 of 2 finds no other"),
    ],
)
def test_a_half_set_launcher_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    monkeypatch.delenv("MASTER_PORT", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words):
        parallel.world.__wrapped__()


def test_torchrun_starts_it() -> None:
    script = (
        "from training.trainer.parallel import world; here = world(); "
        "print(f'{here.rank}: {here.sum([here.rank + 1])}\\n', end='', flush=True)"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "--no-python", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert sorted(done.stdout.split("\n")) == ["", "0: [3.0]", "1: [3.0]"], done.stderr
