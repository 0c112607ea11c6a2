"""Where a tokenizer is looked for, and what is said of one that cannot be had or read."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tokenizers import Tokenizer, decoders, models

from training.errors import TokenizerError
from training.vocabulary import loading
from training.vocabulary.loading import load_vocabulary


def write_tokenizer(folder: Path, *, model: models.Model | None = None) -> Path:
    tokenizer = Tokenizer(model or models.BPE({"a": 0, "b": 1, "ab": 2, "<s>": 3}, [("a", "b")]))
    tokenizer.decoder = decoders.ByteLevel() if model is None else None
    tokenizer.add_special_tokens(["<s>"] if model is None else [])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def tekken(*, bytes_of: range = range(256)) -> dict[str, Any]:
    """A tekken file of an early version: it does not name its special tokens."""
    surfaces = [*(bytes([byte]) for byte in bytes_of), b"ab"]
    return {
        "config": {
            "pattern": r"\w+|\W+",
            "default_vocab_size": 22 + len(surfaces),
            "default_num_special_tokens": 22,
            "version": "v3",
        },
        "vocab": [
            {"rank": i, "token_bytes": base64.b64encode(one).decode(), "token_str": None}
            for i, one in enumerate(surfaces)
        ],
    }


def test_tokenizer_is_found_in_a_folder_and_as_a_file(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "имя")
    by_folder, by_file = (load_vocabulary(str(path)) for path in (folder, folder / "tokenizer.json"))
    assert by_folder.name == by_file.name == "имя"
    assert by_folder.folder == by_file.folder == folder
    assert by_folder.encode("ab<s>") == by_file.encode("ab<s>") == [2]  # it knows no other bytes


def test_packaged_file_is_the_one_that_its_word_names() -> None:
    named = load_vocabulary("mistral-v0.1")
    assert named.folder is not None
    by_path = load_vocabulary(str(named.folder / "tokenizer.model.v1"))
    assert by_path.pieces == named.pieces
    assert (named.name, by_path.name) == ("mistral-v0.1", "tokenizer.model.v1")


def test_name_is_printable_and_short(tmp_path: Path) -> None:
    name = load_vocabulary(str(write_tokenizer(tmp_path / ("x" * 100 + "\n\x1b[31m")))).name
    assert name.isprintable()
    assert len(name) <= 60


def test_early_tekken_file_has_the_special_tokens_of_its_time(tmp_path: Path) -> None:
    (tmp_path / "tekken.json").write_text(json.dumps(tekken()))
    vocabulary = load_vocabulary(str(tmp_path))
    assert vocabulary.roles == {"unk": 0, "bos": 1, "eos": 2, "pad": 11}
    special = [piece.text for piece in vocabulary.pieces[19:22]]
    assert special == [
        "[TOOL_CONTENT]",
        "<SPECIAL_20>",
        "<SPECIAL_21>",
    ]
    assert vocabulary.encode("ab") == vocabulary.encode_surface(b"ab") == [22 + 256]


def test_tekken_without_a_byte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tekken.json").write_text(json.dumps(tekken(bytes_of=range(255))))
    with pytest.raises(TokenizerError, match=r"tekken\.json: .*a single byte is missing"):
        load_vocabulary(str(tmp_path))


def test_folder_without_a_tokenizer_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=re.escape(f"{tmp_path}: there is no tokenizer")) as caught:
        load_vocabulary(str(tmp_path))
    assert all(name in str(caught.value) for name in loading.FILES)


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "tokenizer.model"])
@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff\x00"])
def test_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TokenizerError, match=re.escape(f"{tmp_path / name}: ")):
        load_vocabulary(str(tmp_path))


def test_damaged_configuration_is_named(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path)
    (folder / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(TokenizerError, match=r"tokenizer_config\.json: no JSON object"):
        load_vocabulary(str(folder))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"), "WordPiece"),
        (models.BPE({"a": 0}, [], end_of_word_suffix="</w>"), "ends of words"),
        (models.BPE({"a": 0}, []), "neither byte-level"),
    ],
)
def test_kind_whose_bytes_cannot_be_told_is_refused(tmp_path: Path, model: models.Model, why: str) -> None:
    folder = write_tokenizer(tmp_path, model=model)
    with pytest.raises(TokenizerError, match=why):
        load_vocabulary(str(folder))


@pytest.mark.parametrize("reference", ["нет-такой", "a/b/c", "/нет/такой"])
def test_reference_to_nothing_says_what_one_may_be(reference: str) -> None:
    with pytest.raises(TokenizerError, match="hf://org/name"):
        load_vocabulary(reference)


def test_shipped_vocabulary_names_the_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(TokenizerError, match="pip install mistral-common"):
        load_vocabulary("mistral-v0.1")


def test_hub_is_read_from_its_cache_and_told_of_when_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        TokenizerError, match="org/name: neither a path here nor to be had from the Hugging Face"
    ):
        load_vocabulary("hf://org/name@main")
    cached = tmp_path / "models--org--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("a" * 40)
    write_tokenizer(cached / "snapshots" / ("a" * 40))
    assert load_vocabulary("org/name").name == "org/name"
    assert load_vocabulary("hf://org/name@main").encode("ab") == [2]
