"""From an empty folder to an answer: the tiny run is trained, exported, held against vLLM and served."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from models.card import Card, load_card
from tests.contract.conftest import ROOT, RealService, serving
from training.errors import CheckpointError
from training.handover.agreement import ask_engine, compare
from training.handover.reload import greedy_answers, load_model

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(find_spec("vllm") is None, reason="the extra engine-cpu is not installed"),
]

TRAIN_S = 900


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What `python -m training run` prints, its folder empty before."""
    out = tmp_path_factory.mktemp("out")
    return subprocess.run(
        [sys.executable, "-m", "training", "run", "training/runs/tiny.toml", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TRAIN_S,
        check=False,
    )


@pytest.fixture(scope="module")
def deployment(trained: subprocess.CompletedProcess[str]) -> Path:
    """Return the deployment that the run's last line names."""
    assert trained.returncode == 0, trained.stdout[-2000:] + trained.stderr[-3000:]
    last = trained.stdout.strip().splitlines()[-1]
    command = re.search(r"LLM_DEPLOYMENT=.* make serve", last)
    assert command, last
    return Path(shlex.split(command[0])[0].partition("=")[2])


@pytest.fixture(scope="module")
def card(deployment: Path) -> Card:
    (path,) = (path for path in deployment.parent.glob("*.toml") if path != deployment)
    return load_card(path)


@pytest.fixture(scope="module")
def service(deployment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """Serve it as the last line says, on a port of our own."""
    place = tmp_path_factory.mktemp("served")
    settings = {"LLM_DEPLOYMENT": str(deployment), "LLM_CACHE": str(place / "cache")}
    with serving(place / "service.log", **settings) as running:
        yield running


def test_what_was_trained_answers_a_listing(service: RealService, card: Card) -> None:
    body = {"title": "Горный велосипед Stels", "category": "Велосипеды", "price": 8500}
    request = urllib.request.Request(
        f"{service.url}/describe",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = json.load(response)
        assert response.status == 200
        assert response.headers["X-Model-Version"] == card.name
    assert answer["model_version"] == card.name
    assert re.search("[а-яё]{3}", answer["description"].lower()), answer
    assert answer["usage"]["completion_tokens"] > 0


def test_the_run_was_held_against_vllm(deployment: Path) -> None:
    figures = json.loads((deployment.parent / ".manifest.json").read_bytes())["about"]["figures"]
    assert figures["engine answers equal"].startswith("8 of 8")
    assert figures["reloaded in transformers"] == "equal"


def test_an_engine_that_serves_other_weights_is_found_out(deployment: Path, tmp_path: Path) -> None:
    """One matrix turned round: what a wrong name, order or transposition in a converter comes to."""
    folder = deployment.parent.resolve()
    model = load_model(folder)
    with torch.no_grad():
        weight = next(one for name, one in model.named_parameters() if "down_proj" in name)
        weight.copy_(weight.flip(0) * 8)
    answers = ask_engine(folder, context=512, log=tmp_path / "engine.log")
    with pytest.raises(CheckpointError, match=r"at position \d+ vLLM answers"):
        compare(greedy_answers(model, folder=folder), answers)
