"""A whole run under torchrun: first in the base's vocabulary, then swapped and in the new one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.config import load_run
from training.stages import stages_of
from training.swap.kept import read_kept

ROOT = Path(__file__).parents[2]
RUN = """
name = "whole"
seed = 2
[base]
checkpoint = "tiny"
[corpus]
near_duplicates = false
held_out = 0.05
executor = { kind = "local", tasks = 1, workers = 1 }
[[corpus.sources]]
name = "made"
made = 400
profile = "listings"
domain = "listings"
[tokenizer]
vocabulary = 600
sample_mb = 1
compare_with = []
[embeddings]
[[training]]
name = "continued"
vocabulary = "base"
trainable = "all"
tokens = 2_048
batch_tokens = 1_024
sequence_length = 128
learning_rate = 1e-3
[[training]]
name = "rows"
trainable = "new-embeddings"
tokens = 2_048
batch_tokens = 1_024
sequence_length = 128
learning_rate = 1e-3
[tracking]
tensorboard = true
"""


def matrices(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one for path in folder.glob("*.safetensors") for name, one in load_file(path).items()}


def run(words: list[str], *, processes: int) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run(
        [sys.executable, *(launcher if processes > 1 else []), "-m", "training", "run", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_two_processes_go_through_every_stage_and_one_finds_it_done(tmp_path: Path) -> None:
    file = tmp_path / "whole.toml"
    file.write_text(RUN)
    done = run([str(file), "--out", str(tmp_path / "out")], processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    names = ["corpus", "tokenizer", "packing-base", "continued", "embeddings", "packing", "rows"]
    assert [stage.name for stage in stages_of(load_run(file))] == names
    home = tmp_path / "out" / "whole"
    assert all((home / name / ".manifest.json").is_file() for name in names)
    assert done.stdout.count("run whole:") == 1, "one process speaks for all"
    rows = {name: json.loads((home / name / "config.json").read_bytes())["vocab_size"] for name in names[3:5]}
    assert rows == {"continued": 32_000, "embeddings": 640}
    assert list((home / "rows" / "tensorboard").iterdir())
    assert (home / "rows" / "loss.png").stat().st_size > 10_000
    kept = read_kept(home / "embeddings")
    before, after = (matrices(home / name) for name in ("embeddings", "rows"))
    made = sorted(set(range(600)) - set(kept))
    assert kept and before.keys() == after.keys()
    for name, matrix in before.items():
        is_end = "embed_tokens" in name or "lm_head" in name
        assert torch.equal(matrix[kept], after[name][kept]) if is_end else torch.equal(matrix, after[name])
        assert not is_end or not torch.equal(matrix[made], after[name][made])
    again = run([str(file), "--out", str(tmp_path / "out")], processes=1)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("finished earlier") == len(names)


@pytest.mark.parametrize("stage", ["tokenizer", "nothing"])
def test_until_stops_after_a_stage_that_there_is(stage: str, tmp_path: Path) -> None:
    file = tmp_path / "whole.toml"
    file.write_text(RUN)
    done = run([str(file), "--out", str(tmp_path / "out"), "--until", stage], processes=1)
    if stage == "nothing":
        assert done.returncode == 1
        assert "no such stage; it has corpus, tokenizer, packing-base" in done.stderr
        return
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "whole" / "tokenizer").exists()
    assert not (tmp_path / "out" / "whole" / "packing-base").exists()
