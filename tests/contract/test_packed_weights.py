"""What training packs the service unpacks: once, nearly alike, and never half."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Gemma3TextConfig

from models.card import Card
from models.store import StoreError
from service.engine.dequantize import unpack_shards
from service.engine.unpack import servable_folder
from training.handover.quantized import read_packed, write_packed
from training.swap.stored import find_tensors

ROOT = Path(__file__).parents[2]
COMPANIONS = {"tokenizer.json": "{}", "tokenizer_config.json": "{}", "NOTICE": "terms of the base"}
CONFIG = Gemma3TextConfig(
    vocab_size=300, hidden_size=66, intermediate_size=130, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, head_dim=16, max_position_embeddings=64, tie_word_embeddings=True,
)  # fmt: skip
RUN = """
import sys
from pathlib import Path
from models.card import Card
from service.engine.unpack import servable_folder
print(servable_folder(Card.model_validate_json(sys.argv[1]), cache=Path(sys.argv[2])))
"""


@dataclass
class Shipped:
    """A packed checkpoint, the model that it was, its shards."""

    folder: Path
    model: Any
    shards: list[Path]

    def card(self) -> Card:
        """Return a card of the files as they are now."""
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.folder.iterdir()}
        return Card.model_validate(
            {
                "name": "tiny",
                "base": "none",
                "licence": "Apache-2.0",
                "data": "none",
                "weights": f"file://{self.folder}",
                "weights_sha256": digests,
                "format": "int8",
                "tokenizer_sha256": digests["tokenizer.json"],
                "tokenizer_fingerprint": "0" * 64,
                "vocab_size": 300,
                "context_length": 64,
                "tasks": {"describe": {"prompt": "describe.v2", "max_tokens": 8}},
                "git_sha": "unknown",
            }
        )


@pytest.fixture
def ship(tmp_path: Path) -> Callable[..., Shipped]:
    def do(bits: int = 8) -> Shipped:
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(CONFIG, dtype=torch.bfloat16).eval()
        model.save_pretrained(tmp_path / "export")
        folder = tmp_path / "weights" / "tiny"
        folder.mkdir(parents=True)
        packed = write_packed(find_tensors(tmp_path / "export"), folder=folder, bits=bits, shard_mb=1)
        (folder / "config.json").write_text((tmp_path / "export" / "config.json").read_text())
        for name, text in COMPANIONS.items():
            (folder / name).write_text(text)
        return Shipped(folder, model, packed.shards)

    return do


# Measured: 0.023 and 0.23; a scale or a half of a byte in another's place makes over 1.
@pytest.mark.parametrize(("bits", "limit"), [(8, 0.04), (4, 0.35)])
def test_a_tied_model_answers_nearly_as_before(
    bits: int, limit: float, ship: Callable[..., Shipped], tmp_path: Path
) -> None:
    shipped = ship(bits)
    folder = servable_folder(shipped.card(), cache=tmp_path / "cache")
    model, told = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.dtype == torch.bfloat16
    ids = torch.arange(3, 43)[None]
    with torch.inference_mode():
        before, after = (one.float().eval()(ids).logits for one in (shipped.model, model))
    assert float((before - after).norm() / before.norm()) < limit
    assert (folder / "NOTICE").read_text() == "terms of the base"
    assert not list(folder.glob("weights-*"))


@pytest.mark.parametrize("bits", [4, 8])
def test_both_sides_read_the_same_numbers(bits: int, ship: Callable[..., Shipped], tmp_path: Path) -> None:
    shipped = ship(bits)
    (tmp_path / "there").mkdir()
    unpack_shards(shipped.folder, tmp_path / "there", files=shipped.card().weights_sha256)
    found = load_file(tmp_path / "there" / "model.safetensors")
    for path in shipped.shards:
        for name, weights in read_packed(path):
            assert torch.equal(found.pop(name), weights.bfloat16()), name
    exact = {name: one for name, one in shipped.model.state_dict().items() if one.dim() == 1}
    assert found and all(torch.equal(one, exact[name]) for name, one in found.items())


def test_it_is_unpacked_once(
    ship: Callable[..., Shipped], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = ship().card()
    first = servable_folder(card, cache=tmp_path / "cache")
    assert "unpacking tiny" in capsys.readouterr().err
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    assert servable_folder(card, cache=tmp_path / "cache") == first
    assert capsys.readouterr().err == ""
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*") if path in times
    } == times
    assert sorted(path.name for path in first.parent.iterdir() if not path.name.startswith(".")) == [
        first.name
    ]


def test_other_weights_get_another_folder(ship: Callable[..., Shipped], tmp_path: Path) -> None:
    shipped = ship()
    first = servable_folder(shipped.card(), cache=tmp_path / "cache")
    (shipped.folder / "generation_config.json").write_text("{}")
    assert servable_folder(shipped.card(), cache=tmp_path / "cache") != first


@contextmanager
def refused(complaint: str) -> Iterator[None]:
    """Expect a StoreError of one line."""
    with pytest.raises(StoreError, match=complaint) as caught:
        yield
    assert "\n" not in str(caught.value)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (flipped, "has sha256 [0-9a-f]{64}, expected"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "has sha256 [0-9a-f]{64}, expected"),
        (Path.unlink, r"weights-00001-of-00001\.safetensors is not there"),
    ],
)
def test_files_that_are_not_the_cards_are_refused(
    damage: Callable[[Path], None], complaint: str, ship: Callable[..., Shipped], tmp_path: Path
) -> None:
    shipped = ship()
    card = shipped.card()
    damage(shipped.shards[0])
    with refused(complaint):
        servable_folder(card, cache=tmp_path / "cache")
    assert not (tmp_path / "cache" / "servable").exists()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b"up_proj.weight.scale", b"up_proj.weight.scalf", r"up_proj\.weight\.scale is missing"),
        (b'\\"columns\\":66', b'\\"columns\\":67', r"is I8 \[\d+, 66\], expected I8 \[\d+, 67\]"),
        (b'"packed"', b'"patked"', "damaged, or no packed weights"),
    ],
)
def test_shards_that_were_packed_wrongly_leave_nothing(
    old: bytes, new: bytes, complaint: str, ship: Callable[..., Shipped], tmp_path: Path
) -> None:
    shipped = ship()
    data = shipped.shards[0].read_bytes()
    assert old in data
    shipped.shards[0].write_bytes(data.replace(old, new, 1))
    with refused(complaint):
        servable_folder(shipped.card(), cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / "servable").glob("[!.]*")] == []


def test_a_kill_half_way_leaves_no_folder_and_the_next_start_makes_it(
    ship: Callable[..., Shipped], tmp_path: Path
) -> None:
    shipped = ship()
    card = shipped.card()
    servable = tmp_path / "cache" / "servable"
    os.mkfifo(fifo := tmp_path / "hangs")
    # The reader opens a companion that never ends, after the weights were written.
    code = "import service.engine.dequantize as d, shutil\n" + (
        f"copy = shutil.copyfile\n"
        f"d.shutil.copyfile = lambda a, b: copy(a, b) if a.name != 'NOTICE' else open({str(fifo)!r}).read()\n"
    )
    victim = subprocess.Popen(
        [sys.executable, "-c", code + RUN, card.model_dump_json(), str(tmp_path / "cache")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with fifo.open("wb"):  # opens when the victim is there
        victim.send_signal(signal.SIGKILL)
        victim.wait(timeout=30)
    assert [path.name for path in servable.glob("[!.]*") if not path.name.endswith(".partial")] == []
    folder = servable_folder(card, cache=tmp_path / "cache")
    assert (folder / "NOTICE").is_file() and (folder / "model.safetensors").is_file()
    assert [path.name for path in servable.glob("[!.]*")] == [folder.name]
