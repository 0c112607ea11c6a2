"""The one way to open_clip, which needs torchvision, which exists on PyPI as a CUDA build only.

Beside a CPU torch that build's library of operators does not load, and its import then stops at the first
operator whose fake it registers. Nothing here runs such operators (boxes of detectors), so declaring their
names is enough: resizing and normalizing are plain PyTorch. A torchvision in the common environment would
break transformers there (it asks whether torchvision is there, then imports it), so on a CPU these packages
lie in a folder of their own, `eyes` beside `lib` in the virtual environment, which only a process that has
asked for open_clip here puts on its path.
"""

from __future__ import annotations

import importlib
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from models.errors import VisionError

FOLDER: Final = "eyes"
# Those that torchvision 0.28 registers without asking first whether its library was loaded.
OPERATORS: Final = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[Any] = []  # the declaration lasts as long as this object


@cache
def import_open_clip(folder: Path | None = None) -> ModuleType:
    """Import and return open_clip; `folder`: where its packages lie, if not in the environment itself.

    Raises VisionError. Takes about 6 s, most of it torch.
    """
    place = folder or Path(sys.prefix) / FOLDER
    if place.is_dir() and str(place) not in sys.path:
        sys.path.append(str(place))  # last: what the environment has itself is not overridden
    try:
        _import_torchvision()
        return importlib.import_module("open_clip")
    except (ImportError, RuntimeError) as error:
        line = " ".join(str(error).split())
        raise VisionError(f"open_clip: {line}; docker/locks/eyes.txt names what it needs") from error


def load_clip(folder: Path, *, device: Any = "cpu") -> tuple[Any, Any]:
    """Return open_clip's model of a folder, and what makes a PIL image ready for it ([3, H, W]).

    Where the text tower is one of transformers (xlm-roberta), its config.json has to lie in the folder:
    open_clip would ask the Hub for it. Raises VisionError, and whatever open_clip does.
    """
    open_clip = import_open_clip()
    text = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
    own = {}
    if tower := text.get("hf_model_name"):
        if not (folder / "config.json").is_file():
            raise VisionError(f"{folder}: its text tower is {tower}, whose config.json has to lie there too")
        own["text_cfg"] = {**text, "hf_model_name": str(folder), "hf_model_pretrained": False}
    found = open_clip.create_model_from_pretrained(f"local-dir:{folder}", device=device, **own)
    return found[0], found[1]


def clip_tokenizer(folder: Path) -> Any:
    """Return open_clip's tokenizer of a folder: texts in, ids [B, T] out."""
    return import_open_clip().get_tokenizer(f"local-dir:{folder}")


def _import_torchvision() -> None:
    """Import torchvision as it is, and where its operators are missing, with them declared."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # the half that was imported
        library = importlib.import_module("torch.library").Library("torchvision", "FRAGMENT")
        for operator in OPERATORS:
            library.define(operator)
        _declared.append(library)
        importlib.import_module("torchvision")
