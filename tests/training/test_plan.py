"""The plan: the seed's own figures come out of the formulas; every run file can be planned anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import arithmetic
from training.config import Compute, Shape, Training, load_run
from training.plan import plan, span

RUNS = sorted((Path(__file__).parents[2] / "training" / "runs").glob("*.toml"))
MISTRAL = Shape(
    hidden=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    head_size=128,
    intermediate=14336,
    vocabulary=32000,
    tied=False,
)
GEMMA = Shape(
    hidden=640, layers=18, heads=4, kv_heads=1, head_size=256, intermediate=2048, vocabulary=262144, tied=True
)
A100S = Compute(gpus=72, gpu_memory_gb=80.0, peak_tflops=312.0, mfu=0.44)


def test_parameters_are_those_of_the_published_models() -> None:
    assert arithmetic.parameters(MISTRAL, vocabulary=32000) == 7_241_732_096
    # Gemma 3 has two more norms a layer and two of the head size, which the formula leaves out.
    assert arithmetic.parameters(GEMMA, vocabulary=262144) == pytest.approx(268_098_176, rel=1e-3)


def test_the_reference_run_takes_the_reference_teams_fifteen_days() -> None:
    training = Training(name="all", trainable="all", tokens=295_000_000_000, learning_rate=1e-5)
    days = arithmetic.seconds(MISTRAL, training, A100S, vocabulary=32000) / 86_400
    assert days == pytest.approx(15.0, abs=1.0)


def test_frozen_weights_get_no_gradients_and_no_moments() -> None:
    both = [
        Training(name="x", trainable=trainable, tokens=10, learning_rate=1e-5)
        for trainable in ("embeddings", "all")
    ]
    embeddings, everything = (arithmetic.memory(MISTRAL, one, A100S, vocabulary=49152) for one in both)
    share = 2 * 49152 * 4096 / arithmetic.parameters(MISTRAL, vocabulary=49152)
    assert embeddings.optimizer == pytest.approx(everything.optimizer * share)
    assert embeddings.weights == everything.weights
    assert everything.total < 80
    one_gpu = arithmetic.memory(MISTRAL, both[1], Compute(gpus=1), vocabulary=49152)
    assert one_gpu.total > 100, "7B with Adam does not fit one GPU"


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_run_file_is_planned_without_its_data(path: Path, tmp_path: Path) -> None:
    run = load_run(path).model_copy(update={"data": str(tmp_path)})
    rows = plan(run)
    assert [row.stage for row in rows][:3] == ["corpus", "tokenizer", "embeddings"]
    assert len(rows) == 3 + len(run.training)
    assert all(all(cell for cell in (row.what, row.size, row.memory, row.time)) for row in rows)


def test_more_memory_than_a_gpu_has_is_said() -> None:
    run = load_run(next(path for path in RUNS if path.stem == "mistral-7b"))
    rows = plan(run.model_copy(update={"compute": run.compute.model_copy(update={"gpus": 1})}))
    assert "more than 80 GB" in rows[-1].memory
    assert "more than" not in plan(run)[-1].memory


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (119, "119 s"), (180, "3.0 min"), (7200, "2.0 h"), (1_296_000, "15.0 days")],
)
def test_time_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert span(seconds) == said
