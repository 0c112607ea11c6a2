"""A model of open_clip taken as it is: its card says where it lies and how far it may be believed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import XLMRobertaConfig

from models.errors import StoreError
from models.eyes import load_banks, load_caption_card
from models.vision import VisionError, import_open_clip, load_clip
from service.looking import Job, Looker
from tests.training.clip_material import picture, small_run, write_set
from training.clip.captions import train_tokenizer
from training.clip.ranking import Ranker
from training.clip.settings import TextTower
from training.clip.stages import STAGES
from training.config import Run
from training.errors import CheckpointError
from training.recipe import Progress, arrange, execute

TOKENIZER = {"hf_tokenizer_name": "org/name", "tokenizer_kwargs": {"clean": "canonicalize"}}
SIZES = {"context_length": 24, "width": 32, "heads": 2, "layers": 1}
# The two families that are multilingual, as open_clip's own configs describe them, in small.
SIGLIP: dict[str, Any] = {
    "embed_dim": 64,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 64,
        "timm_model_name": "test_vit",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "none",
    },
    "text_cfg": TOKENIZER | SIZES | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
}
XLM: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {
        "hf_model_name": "xlm-roberta-base",
        "hf_tokenizer_name": "xlm-roberta-base",
        "hf_pooler_type": "mean_pooler",
    },
}
PREPROCESSING = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def write_model(folder: Path, model_cfg: dict[str, Any]) -> None:
    """Write a random model as open_clip pushes its models to the Hub."""
    folder.mkdir()
    tokenizer = train_tokenizer(["синяя рубашка", "фото брюк"], settings=TextTower(vocabulary=300))
    tokenizer.save_pretrained(folder)
    model_cfg = json.loads(json.dumps(model_cfg))
    if "hf_model_name" in model_cfg["text_cfg"]:
        XLMRobertaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=80,
            pad_token_id=tokenizer.pad_token_id,
        ).save_pretrained(folder)
        own = {
            "text_cfg": model_cfg["text_cfg"] | {"hf_model_name": str(folder), "hf_model_pretrained": False}
        }
    else:
        model_cfg["text_cfg"]["vocab_size"] = len(tokenizer)
        own = {}
    open_clip = import_open_clip()
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(
        **{key: value for key, value in (model_cfg | own).items() if key != "custom_text"}
    )
    save_file(
        {name: one.contiguous() for name, one in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    config = {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")


@contextlib.contextmanager
def quiet(stage: str) -> Iterator[Progress]:
    yield lambda note, done, total: None


def run_of(folder: Path, weights: str) -> Run:
    export = {"name": "large-eyes", "base": "b", "licence": "Apache-2.0", "data": "not said"}
    return small_run(folder, clip={"pretrained": {"weights": weights}, "export": export})


@pytest.mark.parametrize("model_cfg", [SIGLIP, XLM], ids=["siglip", "xlm-roberta"])
def test_a_pretrained_model_is_calibrated_carded_and_served(
    model_cfg: dict[str, Any], tmp_path: Path
) -> None:
    write_set(tmp_path)
    folder = tmp_path / "hub"
    write_model(folder, model_cfg)
    run = run_of(tmp_path, folder.as_uri())
    outcomes = {outcome.name: outcome for outcome in execute(run, STAGES, progress=quiet)}
    assert list(outcomes) == ["photos", "model", "captions", "export"]

    card = load_caption_card(outcomes["export"].folder / "large-eyes.toml")
    assert card.weights == folder.as_uri()
    assert card.weights_sha256 == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
    }
    assert {row.name for row in card.evaluation} >= {"kind, first, shapes", "kind, spoken of"}
    assert not (outcomes["export"].folder / "large-eyes").exists()
    assert "<figure" in (outcomes["export"].folder / "page.html").read_text(encoding="utf-8")

    labels = {"kind": ["брюки", "телефон", "ножницы"]}
    banks = load_banks("goods")
    texts = [list(banks.banks["kind"].texts()[name]) for name in labels["kind"]]
    job = Job(
        folder=str(folder),
        identity="1",
        texts=texts,
        matrices=str(tmp_path),
        num_threads=torch.get_num_threads(),
        device="cpu",
    )
    photo = picture("disc", (205, 30, 40), chance=random.Random(5))
    ranker = Ranker(folder, banks=banks, labels=labels)
    torch.testing.assert_close(Looker(job).cosines([photo]), ranker.cosines(ranker.embed([photo]))["kind"])


def test_a_text_tower_of_transformers_needs_its_config_beside_it(tmp_path: Path) -> None:
    write_model(tmp_path / "hub", XLM)
    (tmp_path / "hub" / "config.json").unlink()
    with pytest.raises(VisionError, match=r"its text tower is xlm-roberta-base, whose config\.json"):
        load_clip(tmp_path / "hub")


def test_another_folder_is_another_model(tmp_path: Path) -> None:
    write_set(tmp_path)
    write_model(tmp_path / "hub", SIGLIP)
    run = run_of(tmp_path, (tmp_path / "hub").as_uri())
    before = [planned.key for planned in arrange(run, STAGES)]
    (tmp_path / "hub" / "open_clip_model.safetensors").write_bytes(b"other weights")
    after = [planned.key for planned in arrange(run, STAGES)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, False, False]


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        ("hf://org/name", "expected hf://org/name@revision"),
        ("package://dist@1/file", "is a single file; open_clip reads a folder"),
    ],
)
def test_weights_that_are_no_folder_are_refused_with_the_run_file(weights: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        run_of(Path(), weights)


@pytest.mark.parametrize(
    ("files", "error", "fault"),
    [
        (None, CheckpointError, "is no folder"),
        ([], CheckpointError, "has no open_clip_config.json"),
        (["open_clip_config.json"], CheckpointError, "has no open_clip_model.safetensors"),
    ],
)
def test_a_folder_that_is_not_open_clips_is_told(
    files: list[str] | None, error: type[Exception], fault: str, tmp_path: Path
) -> None:
    write_set(tmp_path)
    folder = tmp_path / "hub"
    if files is not None:
        folder.mkdir()
        for name in files:
            (folder / name).write_text("{}", encoding="utf-8")
    with pytest.raises(error, match=fault):
        list(execute(run_of(tmp_path, folder.as_uri()), STAGES, progress=quiet))


def test_a_hub_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(StoreError, match="HF_HUB_OFFLINE forbids the download"):
        list(execute(run_of(tmp_path, "hf://org/name@v1"), STAGES, progress=quiet))
