"""Stores of tokens that are damaged, or given what does not belong: told by file, never trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.token_stores import BOS, EOS, epoch, rows_of, store
from training.errors import ConfigError, CorpusError, TokenizerError
from training.packed.rows import open_rows


def test_half_of_the_dialogues_cannot_go_without_marks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="or none does"):
        store(tmp_path, {"а": [([BOS, EOS], [False, True]), [BOS, EOS]]})


@pytest.mark.parametrize("ids", [[BOS, 100, EOS], [BOS, -1, EOS]])
def test_id_beyond_the_vocabulary_is_refused(tmp_path: Path, ids: list[int]) -> None:
    with pytest.raises(TokenizerError, match=r"there is no id (100|-1) in a vocabulary of 100"):
        store(tmp_path, {"а": [ids]})


@pytest.mark.parametrize("size", [65_536, 65_537])
def test_ids_are_as_wide_as_the_vocabulary_needs(tmp_path: Path, size: int) -> None:
    folder = store(tmp_path, {"а": [[BOS, size - 1, EOS]]}, size=size)
    assert epoch(rows_of(folder, length=2)).labels.tolist() == [[size - 1, EOS]]
    assert (folder / "tokens/а/00000.ids").stat().st_size == 3 * (2 if size == 65_536 else 4)


@pytest.mark.parametrize(
    "name",
    ["tokens/а/00000.ids", "tokens/а/00000.lengths", "tokens/а/00000.json", "characters.bin", "meta.json"],
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_truncated_and_missing_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    folder = store(tmp_path, {"а": [[BOS, 2, 3, EOS]] * 9})
    rows_of(folder, length=6)
    path = folder / name
    path.write_bytes(path.read_bytes()[:-3]) if damage == "cut" else path.unlink()
    if name.endswith("00000.json") and damage == "gone":  # then there is no shard at all
        path = folder / "rows/6/meta.json"
    with pytest.raises(CorpusError) as caught:
        open_rows(folder, length=6)
    assert str(caught.value).startswith(f"{path}: ")
    assert "run the recipe again" in str(caught.value)


@pytest.mark.parametrize("name", ["а.starts", "а.lengths", "а.ends", "meta.json"])
def test_truncated_tables_of_rows_are_named_and_made_anew(tmp_path: Path, name: str) -> None:
    folder = store(tmp_path, {"а": [[BOS, 2, 3, EOS]] * 9})
    rows_of(folder, length=6)
    path = folder / "rows/6" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CorpusError, match=f"{name}: "):
        open_rows(folder, length=6)
    rows_of(folder, length=6)
    assert path.read_bytes() == whole


def test_damaged_ids_are_told_before_a_model_sees_them(tmp_path: Path) -> None:
    folder = store(tmp_path, {"а": [[BOS, 2, 3, EOS]] * 9})
    rows = rows_of(folder, length=6)
    path = folder / "tokens/а/00000.ids"
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(CorpusError, match="beyond the vocabulary"):
        epoch(rows)


def test_length_that_was_not_packed_is_named_with_those_that_were(tmp_path: Path) -> None:
    folder = store(tmp_path, {"а": [[BOS, 2, 3, EOS]] * 9})
    rows_of(folder, length=6)
    with pytest.raises(ConfigError, match=r"no rows of sequence_length 7; there are 6"):
        open_rows(folder, length=7)
