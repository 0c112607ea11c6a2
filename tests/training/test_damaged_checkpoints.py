"""A checkpoint that is damaged, of another run or of another model is told and never half loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.training import sharded
from training.errors import CheckpointError
from training.optimization import Checkpoints as Settings
from training.trainer.checkpoints import Checkpoints
from training.trainer.parallel import world


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("training")]


@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata", "manifest.json"])
def test_a_truncated_file_is_told_and_the_one_before_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    kept = sharded.saved(tmp_path, 1, 2)
    os.truncate(tmp_path / "step-00000002" / name, 100)
    assert sharded.steps(kept) == [1]
    (line,) = warned(caplog)
    assert "step 2" in line and name in line


@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata", "manifest.json"])
def test_a_flipped_bit_is_told_and_the_one_before_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    kept = sharded.saved(tmp_path, 1, 2)
    path = tmp_path / "step-00000002" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    tensors = sharded.numbers(0)
    found = kept.restore(kept.found(), tensors=tensors)
    assert found is not None and found.step == 1 and tensors["b"].tolist() == [-1.0] * 3
    (line,) = warned(caplog)
    assert "step 2" in line and name in line


def test_a_damaged_checkpoint_is_not_loaded(tmp_path: Path) -> None:
    kept = sharded.saved(tmp_path, 1)
    (found,) = kept.found()
    path = found.folder / "__0_0.distcp"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    tensors = sharded.numbers(0)
    with pytest.raises(CheckpointError, match=r"__0_0\.distcp is damaged"):
        kept.load(found, tensors=tensors)
    with pytest.raises(CheckpointError, match="no checkpoint of step 1 is whole"):
        kept.restore([found], tensors=tensors)
    assert tensors["b"].tolist() == [0.0] * 3


def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path: Path) -> None:
    kept, here = sharded.saved(tmp_path), {"seed": 2, "base": {"tokenizer": "cd", "rows": 5}}
    other = Checkpoints(tmp_path, settings=Settings(), identity=here, world=world())
    other.save(1, tensors=sharded.numbers(1), facts={})
    (found,) = other.found()
    words = r"another run: base\.rows 5, here absent; base\.tokenizer cd, here absent; seed 2, here 1"
    with pytest.raises(CheckpointError, match=words):
        kept.load(found, tensors=sharded.numbers(0))


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    kept = sharded.saved(tmp_path, 1)
    (found,) = kept.found()
    tensors = {"a": torch.zeros(5), "c": torch.zeros(1)}
    with pytest.raises(
        CheckpointError, match=r"c is not in it; a is float32\[200000\] instead of float32\[5\]; b"
    ):
        kept.load(found, tensors=tensors)
