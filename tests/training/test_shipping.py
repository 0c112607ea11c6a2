"""packed/ of an export: what is copied into models/ as it stands, and what it costs to pack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import zstandard
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig

from models.card import TOKENIZER_PROBE, Card, TaskSettings, load_card
from models.store import fetch
from training import config
from training.errors import ConfigError
from training.handover.shipping import pack_export
from training.optimization import Export, Training
from training.recipe import Work
from training.samples import make_texts
from training.tokenizer import train_tokenizer

VOCABULARY = 1_024
SOURCE = config.Source(name="listings", made=300, domain="listings")
RUN = config.Run(
    name="little",
    corpus=config.Corpus(sources=(SOURCE,)),
    base=config.Base(checkpoint="tiny"),
    training=(Training(name="cpt", trainable="all", tokens=512, batch_tokens=512, sequence_length=64,
                       learning_rate=1e-3),),
)  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an export leaves it, but for its card."""
    folder = tmp_path_factory.mktemp("export")
    texts = [text for text, _ in make_texts(SOURCE, seed=1)]
    train_tokenizer(texts, settings=config.Tokenizer(vocabulary=VOCABULARY), folder=folder)
    torch.manual_seed(1)
    shape = Gemma3TextConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, num_hidden_layers=2, head_dim=16,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(shape, dtype=torch.bfloat16).save_pretrained(folder)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "NOTICE.md").write_text("terms of the base")
    (folder / "README.md").write_text("about the export")
    return folder


def pack(exported: Path, place: Path, *, corpus: Path | None = None, **changes: Any) -> dict[str, Any]:
    folder = Path(shutil.copytree(exported, place))
    card = Card(
        name="little",
        base="tiny",
        licence="Apache-2.0",
        data="made up",
        weights=f"file://{folder}",
        weights_sha256={"model.safetensors": "a" * 64},
        format="hf",
        tokenizer_sha256="b" * 64,
        tokenizer_fingerprint="c" * 64,
        vocab_size=VOCABULARY,
        context_length=512,
        tasks={"describe": TaskSettings(prompt="describe.v2", max_tokens=8, stop=("\n",))},
        git_sha="unknown",
    )
    settings = Export(name="little", licence="Apache-2.0", data="made up", **changes)
    run = RUN.model_copy(update={"export": settings})
    before = {"corpus": corpus} if corpus else {}
    return pack_export(Work(run, folder, before, lambda *told: None), card=card)


def test_an_export_that_does_not_ask_is_left_as_it_is(exported: Path, tmp_path: Path) -> None:
    assert pack(exported, tmp_path / "e") == {}
    assert not (tmp_path / "e" / "packed").exists()


def test_what_is_packed_is_ready_to_lie_in_models(exported: Path, tmp_path: Path) -> None:
    figures = pack(exported, tmp_path / "e", packed_bits=8)
    packed = tmp_path / "e" / "packed"
    card = load_card(packed / "little.toml")
    assert (card.format, card.weights) == ("int8", "file://models/weights/little")
    there = Path(shutil.copytree(packed / "little", tmp_path / "root" / "models" / "weights" / "little"))
    found = fetch(
        card.weights,
        sha256=card.weights_sha256,
        cache=tmp_path / "cache",
        root=tmp_path / "root",
        progress=False,
    )
    assert found == there
    assert set(card.weights_sha256) == {path.name for path in there.iterdir()} == {
        "weights-00001-of-00001.safetensors", "config.json", "generation_config.json", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "NOTICE.md",
    }  # fmt: skip
    assert card.tokenizer_sha256 == card.weights_sha256["tokenizer.json"]
    assert 'card = "models/cards/little.toml"' in (packed / "deployment.toml").read_text()
    total = sum(path.stat().st_size for path in there.iterdir()) / 1e6
    assert figures["packed, MB"] == pytest.approx(total, abs=0.06)
    assert 0 < figures["packed, relative error of the weights"] < 0.02


def test_the_tokenizer_is_smaller_and_the_same(exported: Path, tmp_path: Path) -> None:
    pack(exported, tmp_path / "e", packed_bits=8)
    packed = tmp_path / "e" / "packed" / "little"
    ours, theirs = (AutoTokenizer.from_pretrained(place) for place in (packed, exported))
    assert ours.encode(TOKENIZER_PROBE) == theirs.encode(TOKENIZER_PROBE)
    before, after = (place / "tokenizer.json" for place in (exported, packed))
    assert json.loads(before.read_bytes()) == json.loads(after.read_bytes())
    assert after.stat().st_size < before.stat().st_size


@pytest.mark.parametrize(("bits", "limit"), [(8, 0.005), (4, 0.2)])
def test_the_cost_is_told_in_bits_a_character(
    bits: int, limit: float, exported: Path, tmp_path: Path
) -> None:
    place = tmp_path / "corpus" / "heldout" / "listings"
    place.mkdir(parents=True)
    rows = "".join(json.dumps({"text": text}) + "\n" for text, _ in list(make_texts(SOURCE, seed=2))[:5])
    (place / "00000.jsonl.zst").write_bytes(zstandard.compress(rows.encode()))
    figures = pack(exported, tmp_path / "e", corpus=tmp_path / "corpus", packed_bits=bits)
    before, after = map(float, figures["packed, bits a character, listings"].split(" → "))
    assert before > 1
    assert abs(after - before) < limit * before
    assert after != before or bits == 8
    (row,) = load_card(tmp_path / "e" / "packed" / "little.toml").evaluation
    assert (row.name, row.n) == ("bits a character after packing, listings", 5)
    assert row.value == pytest.approx(after, abs=1e-4)


def test_a_shard_too_small_for_a_matrix_is_a_fault_of_the_run_file(exported: Path, tmp_path: Path) -> None:
    wide = AutoModelForCausalLM.from_config(
        Gemma3TextConfig(
            vocab_size=VOCABULARY, hidden_size=1_024, intermediate_size=64, num_hidden_layers=1, head_dim=16,
            num_attention_heads=1, num_key_value_heads=1, tie_word_embeddings=True,
        ),
        dtype=torch.bfloat16,
    )  # fmt: skip
    folder = Path(shutil.copytree(exported, tmp_path / "wide"))
    wide.save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"embed_tokens\.weight alone takes 1 MB, a shard may have 1"):
        pack(folder, tmp_path / "e", packed_bits=8, packed_shard_mb=1)
