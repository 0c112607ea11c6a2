"""What the packing stage refuses, in a line that says where, and with what was there left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.packed_corpus import TEXTS, build_packing, content, write_corpus, write_material
from training import config
from training.errors import ConfigError, CorpusError, TokenizerError
from training.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_material(tmp_path_factory.mktemp("material"))


def test_another_tokenizer_is_refused_and_the_store_stays(tmp_path: Path, material: Path) -> None:
    build_packing(tmp_path / "out", material)
    whole = content(tmp_path / "out")
    train_tokenizer(TEXTS["reviews"], settings=config.Tokenizer(vocabulary=700), folder=tmp_path / "new")
    with pytest.raises(TokenizerError, match="begun with another tokenizer"):
        build_packing(tmp_path / "out", material, vocabulary_folder=tmp_path / "new")
    assert content(tmp_path / "out") == whole


def test_truncated_shard_of_the_corpus_is_named(tmp_path: Path, material: Path) -> None:
    write_corpus(tmp_path / "corpus", TEXTS)
    path = tmp_path / "corpus/data/reviews/00001.jsonl.zst"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorpusError, match=r"reviews/00001\.jsonl\.zst"):
        build_packing(tmp_path / "out", material, corpus=tmp_path / "corpus")


def test_corpus_without_documents_is_refused(tmp_path: Path, material: Path) -> None:
    write_corpus(tmp_path / "corpus", {"listings": []})
    with pytest.raises(CorpusError, match="no document to pack"):
        build_packing(tmp_path / "out", material, corpus=tmp_path / "corpus")


def test_rows_longer_than_all_texts_are_refused(tmp_path: Path, material: Path) -> None:
    with pytest.raises(ConfigError, match="sequence_length 1,048,576: all documents have"):
        build_packing(tmp_path / "out", material, lengths=[256, 2**20])


def test_tokenizer_without_an_end_is_refused(tmp_path: Path, material: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((material / "tokenizer/tokenizer.json").read_bytes())
    with pytest.raises(TokenizerError, match="has no EOS"):
        build_packing(tmp_path / "out", material, vocabulary_folder=tmp_path)
