"""The loop from outside: killed, stopped, divided among processes, it comes to the same end."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.looping import STEPS, Bench
from training.trainer.records import read_log


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("loop"))


@pytest.fixture(scope="module")
def clean(bench: Bench) -> Iterator[str]:
    code, text = bench.run("clean")
    assert code == 0, text
    losses = bench.losses("clean")
    assert len(losses) == STEPS and losses[-1] < losses[0] - 0.3, "it learns"
    yield "clean"


def same_weights(bench: Bench, one: str, other: str) -> bool:
    first, second = bench.weights(one), bench.weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kill_at", sorted(random.Random(5).sample(range(STEPS), 3)))
def test_killed_at_any_step_it_goes_on_to_the_same_bits(bench: Bench, clean: str, kill_at: int) -> None:
    name = f"killed-{kill_at}"
    code, _ = bench.run(name, KILL_AT=str(kill_at))
    assert code == -signal.SIGKILL
    code, text = bench.run(name)
    assert code == 0, text
    assert bench.losses(name) == bench.losses(clean)
    assert same_weights(bench, name, clean)


def test_sigterm_saves_the_step_it_came_in_and_goes_on_from_there(bench: Bench, clean: str) -> None:
    process = bench.start("stopped")
    assert process.stdout
    for line in process.stdout:
        if line.startswith("6/"):
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=60)
    assert process.returncode == 130
    saved = sorted(path.name for path in (bench.folder / "stopped" / "checkpoints").iterdir())
    assert saved and int(saved[-1].rpartition("-")[2]) >= 6
    code, text = bench.run("stopped")
    assert code == 0, text
    records = read_log(bench.folder / "stopped" / "log.jsonl")
    steps = [one["step"] for one in records if one["event"] == "step"]
    assert steps == list(range(STEPS)), "nothing was done twice"
    assert bench.losses("stopped") == bench.losses(clean)


@pytest.mark.parametrize("processes", [2, 4])
def test_more_processes_have_the_same_losses_within_rounding(
    bench: Bench, clean: str, processes: int
) -> None:
    name = f"by-{processes}"
    code, text = bench.run(name, processes=processes)
    assert code == 0, text
    assert bench.losses(name) == pytest.approx(bench.losses(clean), rel=2e-5)
    ours, theirs = bench.weights(name), bench.weights(clean)
    for key in theirs:
        assert torch.allclose(ours[key].float(), theirs[key].float(), atol=2e-3), key


def test_two_processes_agree_with_one_in_bfloat16(bench: Bench) -> None:
    run_file = bench.folder / "bf16.toml"
    run_file.write_text(bench.run_file.read_text().replace('"float32"', '"bf16"'))
    for name, processes in (("low-1", 1), ("low-2", 2)):
        code, text = bench.run(name, run_file=run_file, processes=processes)
        assert code == 0, text
    assert bench.losses("low-2") == pytest.approx(bench.losses("low-1"), rel=2e-3)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_and_recomputed_it_has_the_same_losses(bench: Bench, clean: str) -> None:
    run_file = bench.folder / "compiled.toml"
    told = bench.run_file.read_text()
    run_file.write_text(told.replace("micro_rows", "compile = true\nrecompute = true\nmicro_rows"))
    code, text = bench.run("compiled", run_file=run_file, timeout_s=280)
    assert code == 0, text
    assert bench.losses("compiled") == pytest.approx(bench.losses(clean), rel=1e-4)


def test_a_resume_on_another_number_of_processes_goes_on(bench: Bench, clean: str) -> None:
    code, _ = bench.run("moved", processes=2, KILL_AT="9", KILL_RANK="1")
    assert code != 0
    code, text = bench.run("moved")
    assert code == 0, text
    assert bench.losses("moved") == pytest.approx(bench.losses(clean), rel=2e-5)


def test_one_process_of_four_dying_is_one_clear_line(bench: Bench) -> None:
    code, text = bench.run("orphaned", processes=4, KILL_AT="6", KILL_RANK="2")
    assert code != 0
    lines = [line for line in text.splitlines() if line.startswith("TrainingError: ")]
    assert lines and "process 2 of 4 is gone" in lines[0] and "step 4" in lines[0]


def test_the_frozen_stay_as_they_were_to_the_bit(bench: Bench) -> None:
    run_file = bench.folder / "embeddings.toml"
    run_file.write_text(bench.run_file.read_text().replace('trainable = "all"', 'trainable = "embeddings"'))
    code, text = bench.run("embeddings", run_file=run_file)
    assert code == 0, text
    base, trained = load_file(bench.base / "model.safetensors"), bench.weights("embeddings")
    changed = {name for name in base if not torch.equal(base[name], trained[name])}
    assert changed == {"model.embed_tokens.weight", "lm_head.weight"}
    checkpoint = bench.folder / "embeddings" / "checkpoints" / "step-00000014"
    state = sum(path.stat().st_size for path in checkpoint.iterdir())
    assert state < 2 * 512 * 32 * 12 * 1.5, "moments of what is trained alone: 12 bytes a parameter"


def test_tied_embeddings_stay_tied_alone_and_shared(tmp_path: Path) -> None:
    tied = Bench(tmp_path, tied=True)
    for name, processes in (("one", 1), ("two", 2)):
        code, text = tied.run(name, processes=processes)
        assert code == 0, text
    assert "lm_head.weight" not in tied.weights("one")
    assert tied.losses("two") == pytest.approx(tied.losses("one"), rel=2e-5)


def test_a_checkpoint_of_another_run_is_named(bench: Bench, clean: str) -> None:
    other = bench.write(name="other", steps=STEPS + 4)
    shutil.copytree(bench.folder / clean / "checkpoints", bench.folder / "foreign" / "checkpoints")
    code, text = bench.run("foreign", run_file=other)
    assert code == 1
    assert "CheckpointError" in text and "another run" in text and "settings" in text


def test_a_changed_tokenizer_is_said_before_anything(tmp_path: Path) -> None:
    changed = Bench(tmp_path)
    path = changed.base / "tokenizer.json"
    path.write_text(path.read_text().replace("<|reserved_3|>", "<|reserved_x|>"))
    code, text = changed.run("changed")
    assert code == 1
    assert "packed with another tokenizer" in text
    assert not (tmp_path / "changed" / "checkpoints").exists()


def test_a_batch_that_cannot_be_divided_is_said_before_anything(bench: Bench) -> None:
    code, text = bench.run("odd", processes=3)
    assert code != 0
    assert "8 rows cannot be divided among 3 processes" in text
