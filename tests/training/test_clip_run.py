"""A run of photos from drawn shapes to a folder that open_clip loads; killed, it ends where it would have."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.eyes import load_banks, load_caption_card
from models.vision import import_open_clip
from tests.training.clip_material import picture, small_run, write_set
from training.clip.features import Features, count_views, crop, preprocess
from training.clip.index import read_index
from training.clip.ranking import Ranker
from training.clip.stages import STAGES
from training.config import Run
from training.recipe import Outcome, Progress, execute

ROOT = Path(__file__).parents[2]
KILLED = """
import os, sys
from pathlib import Path
from training.clip import contrastive, features
from tests.training.test_clip_run import go, small_run

def die_in(owner, name, after):
    whole, calls = getattr(owner, name), []
    def once(*given, **more):
        calls.append(1)
        if len(calls) > after:
            os.kill(os.getpid(), 9)
        return whole(*given, **more)
    setattr(owner, name, once)

die_in(*{"features": (features, "_write", 1), "contrastive": (contrastive.Course, "train", 2)}[sys.argv[1]])
go(small_run(Path(sys.argv[2])))
"""


@contextlib.contextmanager
def quiet(stage: str) -> Iterator[Progress]:
    yield lambda note, done, total: None


def go(run: Run) -> list[Outcome]:
    return list(execute(run, STAGES, progress=quiet))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("clip")
    write_set(folder)
    run = small_run(folder)
    return run, {outcome.name: outcome for outcome in go(run)}


def test_the_shapes_are_told_apart_on_photos_that_were_not_learnt(
    done: tuple[Run, dict[str, Outcome]],
) -> None:
    figures = json.loads((done[1]["export"].folder / "figures.json").read_text(encoding="utf-8"))["shares"]
    assert figures["kind, first, shapes"]["n"] > 10
    assert figures["kind, first, shapes"]["value"] > 0.6  # by chance it would be a third
    assert {name for name in figures if name.startswith("kind, first, shapes, ")} <= {
        f"kind, first, shapes, {kind}" for kind in ("брюки", "футбольный мяч", "телефон")
    }


def test_the_folder_is_one_that_open_clip_loads(done: tuple[Run, dict[str, Outcome]]) -> None:
    folder = done[1]["export"].folder / "small-eyes"
    open_clip = import_open_clip()
    model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    trained = load_file(done[1]["contrastive"].folder / "model.safetensors")
    name = "visual.head.proj.weight"
    torch.testing.assert_close(model.state_dict()[name], trained[name], rtol=1e-3, atol=1e-4)
    image = picture("disc", (205, 30, 40), chance=random.Random(5))
    torch.testing.assert_close(prepare(image), preprocess(64)(image))
    upper, lower = tokenizer(["КРАСНЫЙ Зелёный мяч", "красный зеленый мяч"])
    assert torch.equal(upper, lower)
    assert upper.argmax() == lower.tolist().index(len(tokenizer.tokenizer) - 1)  # the end is the highest id
    with torch.inference_mode():
        assert model.encode_text(tokenizer(["мяч", "слово " * 90])).isfinite().all()


def test_the_card_is_of_the_folder_and_of_what_was_taught(done: tuple[Run, dict[str, Outcome]]) -> None:
    folder = done[1]["export"].folder
    card = load_caption_card(folder / "small-eyes.toml")
    assert set(card.weights_sha256) == {path.name for path in (folder / "small-eyes").iterdir()}
    assert card.weights == "file://models/weights/small-eyes"
    labels = card.calibration["kind"].labels
    assert labels
    assert set(labels) == {"брюки", "футбольный мяч", "телефон"}
    measured = {row.name: row for row in card.evaluation}
    assert measured["kind, silent on what was not taught"].n == 30
    assert all(row.command and row.commit for row in card.evaluation)


def test_the_page_shows_held_out_photos_and_needs_nothing_else(done: tuple[Run, dict[str, Outcome]]) -> None:
    page = (done[1]["export"].folder / "page.html").read_text(encoding="utf-8")
    assert page.count("<figure") == page.count("data:image/jpeg;base64,") > 30
    assert "seed 1" in page
    assert not re.search(r"(src|href)='?\"?https?:", page)


def test_features_of_whole_photos_are_the_towers_own(done: tuple[Run, dict[str, Outcome]]) -> None:
    run, outcomes = done
    assert run.clip
    photos = read_index(outcomes["photos"].folder)
    features = Features(outcomes["features"].folder, photos, settings=run.clip.image)
    folder = outcomes["export"].folder / "small-eyes"
    ranker = Ranker(folder, banks=load_banks("goods"), labels={"kind": ["брюки", "телефон"]})
    from training.clip import tower
    from training.clip.photos import read_images

    some = list(range(len(photos)))[::17]
    pictures = read_images(run.photos, [photos[at] for at in some], data=Path(run.data))
    wanted = ranker.embed(pictures)
    with torch.inference_mode():
        rows = tower.embed(ranker._model.visual, features.whole(some), unlocked=1)
    cosines = torch.nn.functional.cosine_similarity(rows, wanted)
    assert cosines.min() > 0.98  # the locked part was computed in 16 bits
    assert sum(count_views(one, run.clip.image) for one in photos) == outcomes["features"].figures["views"]


def test_a_second_run_does_nothing(done: tuple[Run, dict[str, Outcome]]) -> None:
    assert all(outcome.skipped for outcome in go(done[0]))


def test_other_settings_redo_what_hangs_on_them_alone(done: tuple[Run, dict[str, Outcome]]) -> None:
    from training.recipe import arrange

    run = done[0]
    assert run.clip
    export = run.clip.export.model_copy(update={"precision": 0.9})
    image = run.clip.image.model_copy(update={"views": 2})
    for changed, redone in (
        (run.clip.model_copy(update={"export": export}), ["export"]),
        (run.clip.model_copy(update={"image": image}), ["features", "captions", "contrastive", "export"]),
    ):
        planned = arrange(run.model_copy(update={"clip": changed}), STAGES)
        assert [one.stage.name for one in planned if not one.finished] == redone


@pytest.mark.parametrize("stage", ["features", "contrastive"])
def test_killed_inside_a_stage_it_goes_on_and_ends_the_same(
    done: tuple[Run, dict[str, Outcome]], tmp_path: Path, stage: str
) -> None:
    write_set(tmp_path)
    command = [sys.executable, "-c", KILLED, stage, str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    (partial,) = (tmp_path / "out" / "small").glob(f"{stage}-*.partial")
    kept = {path: path.stat().st_mtime_ns for path in partial.iterdir()}
    assert kept
    time.sleep(0.01)
    outcomes = {outcome.name: outcome for outcome in go(small_run(tmp_path))}
    if stage == "features":
        again = {path.name: path.stat().st_mtime_ns for path in outcomes[stage].folder.iterdir()}
        assert {path.name: stamp for path, stamp in kept.items()}.items() <= again.items()
    wanted, found = (
        load_file(one["contrastive"].folder / "model.safetensors") for one in (done[1], outcomes)
    )
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_crops_stay_inside_and_are_not_smaller_than_asked() -> None:
    chance: Any = random.Random(7)
    image = picture("bar", (40, 70, 160), chance=chance, side=100)
    for _ in range(200):
        cut = crop(image, smallest=0.5, chance=chance)
        assert cut.width <= image.width
        assert cut.height <= image.height
        assert cut.width * cut.height >= 0.47 * image.width * image.height  # rounded to pixels
