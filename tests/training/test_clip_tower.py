"""The image tower is the original EfficientNet-Lite0, whole and cut in two, and open_clip's once exported."""

from __future__ import annotations

import pytest
import torch

from models.vision import import_open_clip
from tests.training.clip_material import small_run
from training.clip import tower
from training.errors import CheckpointError

import_open_clip()  # puts the packages on the path that lie in a folder of their own


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_features_are_those_of_the_original_implementation(images: torch.Tensor) -> None:
    import efficientnet_lite_pytorch

    original = efficientnet_lite_pytorch.EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(tower.imagenet_weights())
    original.eval()
    with torch.inference_mode():
        wanted = original.extract_features(images).mean((2, 3))
        found = tower.create_trunk()(images)
    assert wanted.abs().max() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unlocked", [0, 1, 2, 6])
def test_cut_in_two_it_is_the_same_tower(
    tmp_path_factory: pytest.TempPathFactory, images: torch.Tensor, unlocked: int
) -> None:
    clip = small_run(tmp_path_factory.getbasetemp()).clip
    assert clip
    model = tower.create(clip, vocabulary=400).eval()
    with torch.inference_mode():
        features = tower.locked_features(model.visual.trunk, images, unlocked=unlocked)
        found = tower.embed(model.visual, features, unlocked=unlocked)
        torch.testing.assert_close(found, model.encode_image(images))


@pytest.mark.parametrize(("unlocked", "stages"), [(0, set()), (1, {"6"}), (2, {"5", "6"})])
def test_only_the_last_stages_are_trained(unlocked: int, stages: set[str]) -> None:
    trunk = tower.create_trunk()
    trained = tower.unlocked_parameters(trunk, unlocked=unlocked)
    names = [name for name, one in trunk.named_parameters() if one.requires_grad]
    assert len(trained) == len(names)
    assert {name.split(".")[1] for name in names if name.startswith("blocks.")} == stages
    assert ("conv_head.weight" in names) == bool(unlocked)


def test_every_weight_has_a_name_of_its_own() -> None:
    weights = tower.imagenet_weights()
    found = tower.renamed(weights)
    assert len(found) == len(weights) - 2  # without the classifier
    assert found.keys() == tower.create_trunk().state_dict().keys()


@pytest.mark.parametrize("name", ["_blocks.0._squeeze.weight", "layer1.weight", "_fc.weight"])
def test_a_weight_of_another_network_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="EfficientNet-Lite0"):
        tower.timm_name(name)


@pytest.mark.parametrize(
    ("known", "halved"), [({"avx512_bf16": True}, True), ({"avx2": True}, False), ({}, False)]
)
def test_bfloat16_is_computed_in_where_the_cpu_knows_it(
    known: dict[str, bool], halved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    with tower.autocast():
        assert torch.is_autocast_enabled("cpu") is halved
