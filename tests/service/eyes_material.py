"""A small open_clip model with random weights: real files for the real worker, no meaning in them."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from models.eyes import Bank, Banks, BankSettings, CaptionCard, Item
from service.eyes import Eyes, Setup
from service.photos import Pixels

ROOT = Path(__file__).parents[2]
CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.3, 0.2, 0.1], "interpolation": "bicubic"},
}
# Run in a process of their own: torchvision must not be imported beside the engine's libraries.
_MAKE = """
import json, sys, torch
from pathlib import Path
from models.vision import import_open_clip
open_clip = import_open_clip()
from safetensors.torch import save_file
torch.manual_seed(5)
config = json.loads((Path(sys.argv[1]) / "open_clip_config.json").read_text())["model_cfg"]
model = open_clip.model.CLIP(**config)
save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()},
          Path(sys.argv[1]) / "open_clip_model.safetensors")
"""
# Bare open_clip, as its own documentation uses it.
_BARE = """
import json, sys, torch
from PIL import Image
from models.vision import import_open_clip
open_clip = import_open_clip()
job = json.load(sys.stdin)
name = "local-dir:" + job["folder"]
model, preprocess = open_clip.create_model_from_pretrained(name)
tokenizer = open_clip.get_tokenizer(name)
with torch.no_grad():
    matrix = []
    for texts in job["texts"]:
        one = model.encode_text(tokenizer(texts), normalize=True).mean(dim=0)
        matrix.append(one / one.norm())
    rows = []
    for width, height, rgb in job["photos"]:
        photo = Image.frombytes("RGB", (width, height), bytes.fromhex(rgb))
        features = model.encode_image(preprocess(photo).unsqueeze(0), normalize=True)
        rows.append([float(features[0] @ one) for one in matrix])
print(json.dumps(rows))
"""
# The worker's own model, made again for every job: the matrix, and which matrices lie in the cache.
_MATRICES = """
import json, sys
from pathlib import Path
from service.looking import Looker
settings = json.load(sys.stdin)
for job in settings["jobs"]:
    if job.pop("damaged", False):
        for path in Path(settings["common"]["matrices"]).glob("texts-*/*.safetensors"):
            path.write_bytes(bytes(path.stat().st_size))
    matrix = Looker({**settings["common"], **job}).matrix_ld
    names = sorted(str(path) for path in Path(settings["common"]["matrices"]).glob("texts-*/*.safetensors"))
    print(json.dumps([matrix.tolist(), names]))
"""

BANKS = Banks(
    banks={
        "kind": Bank(
            form="noun",
            templates=("{phrase}", "на фото {phrase}"),
            items={
                name: Item(phrases=(name, f"{name} новая")) for name in ("куртка", "юбка", "шляпа", "чашка")
            },
        ),
        "colour": Bank(
            form="adjective",
            templates=("{phrase} цвет",),
            params=("Цвет",),
            items={name: Item(phrases=(name,)) for name in ("синий", "красный", "белый")},
        ),
    }
)
SURE = BankSettings(temperature=0.01, threshold=0.0)  # says the best label, whatever it is
NEVER = BankSettings(temperature=1.0, threshold=1.0)


def run(code: str, *arguments: str, stdin: str = "") -> str:
    """Run Python code with the worker's libraries in a process of its own; return what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def make_model(folder: Path) -> Path:
    """Write a model's folder in open_clip's layout."""
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    run(_MAKE, str(folder))
    return folder


def bare_cosines(folder: Path, photos: list[Pixels]) -> list[list[float]]:
    """Return what plain open_clip makes of photos, one by one, for every label of BANKS."""
    texts = [list(several) for bank in BANKS.banks.values() for several in bank.texts().values()]
    rows = [[one.width, one.height, one.rgb.hex()] for one in photos]
    answer = run(_BARE, stdin=json.dumps({"folder": str(folder), "texts": texts, "photos": rows}))
    found: list[list[float]] = json.loads(answer)
    return found


def matrices(
    folder: Path, jobs: list[dict[str, Any]], *, cache: Path
) -> tuple[list[list[list[float]]], list[list[str]]]:
    """Return the text matrix that the worker has after each job, and the kept files."""
    common = {"folder": str(folder), "matrices": str(cache), "num_threads": 1, "device": "cpu"}
    lines = run(_MATRICES, stdin=json.dumps({"common": common, "jobs": jobs})).splitlines()
    rows, names = zip(*map(json.loads, lines), strict=True)
    return list(rows), list(names)


def opened(card: CaptionCard, *, banks: Banks = BANKS, **options: Any) -> Eyes:
    """Return eyes with patience for a busy machine; options are those of Eyes and of Setup."""
    fields = [name for name in options if name in Setup.__dataclass_fields__]
    setup = {"num_threads": 1, "timeout_s": 100.0, **{name: options.pop(name) for name in fields}}
    return Eyes(card, Setup(**setup), banks=banks, **options)


def card_of(folder: Path, **changes: object) -> CaptionCard:
    """Return a card of a folder; `changes` take the place of its fields."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    fields = {
        "name": "tiny-eyes",
        "base": "random weights",
        "licence": "CC0-1.0",
        "data": "none",
        "weights": folder.as_uri(),
        "weights_sha256": files,
        "banks": "goods",
        "calibration": {"kind": SURE, "colour": SURE},
        "git_sha": "none",
    }
    return CaptionCard.model_validate({**fields, **changes})


def photo(seed: int, *, width: int = 40, height: int = 32) -> Pixels:
    """Return a photo of random pixels, another one for each seed."""
    rgb = random.Random(seed).randbytes(3 * width * height)
    return Pixels(width=width, height=height, rgb=rgb, sha256=hashlib.sha256(rgb).hexdigest())


def alike(byte: int, *, width: int = 16) -> Pixels:
    """Return a photo that is all of one byte."""
    rgb = bytes([byte]) * (3 * width * 16)
    return Pixels(width=width, height=16, rgb=rgb, sha256=hashlib.sha256(rgb).hexdigest())
