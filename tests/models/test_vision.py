"""open_clip beside a torch whose torchvision cannot load: imported, transformers unharmed, or refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocker())
from models.errors import VisionError
from models.vision import import_open_clip
try:
    import_open_clip()
except VisionError as error:
    print(error)
"""
USED = """
from models.vision import import_open_clip
open_clip = import_open_clip()
assert import_open_clip() is open_clip
from transformers import LlamaConfig, LlamaForCausalLM
sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
LlamaForCausalLM(LlamaConfig(vocab_size=9, **sizes))
print(open_clip.__version__)
"""


def answer(code: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_open_clip_is_imported_and_transformers_still_loads_a_model() -> None:
    assert answer(USED).startswith("3.")


@pytest.mark.parametrize("package", ["open_clip", "torchvision"])
def test_what_is_missing_is_named_with_the_lock(package: str) -> None:
    told = answer(BLOCKED, package)
    assert f"blocked: {package}" in told
    assert "docker/locks/eyes.txt" in told
