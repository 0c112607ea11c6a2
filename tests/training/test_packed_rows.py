"""Rows of whole documents: nothing cut that fits, every target once, full rows, answers alone as targets."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.token_stores import BOS, EOS, epoch, rows_of, store
from training.packed import cut
from training.packed.batches import IGNORED, Batch
from training.packed.fit import pack


def read(batch: Batch) -> list[tuple[list[int], list[int], list[int]]]:
    """Return ids, labels and positions of each piece."""
    flat = [array.flatten().tolist() for array in (batch.ids, batch.labels, batch.positions)]
    ends = np.cumsum(batch.lengths).tolist()
    return [
        tuple(part[end - size : end] for part in flat)  # type: ignore[misc]
        for end, size in zip(ends, batch.lengths, strict=True)
    ]


@given(lengths=st.lists(st.integers(1, 50), max_size=300), seed=st.integers(0, 5))
@settings(deadline=None)
def test_every_piece_is_in_one_row_and_no_row_overflows(lengths: list[int], seed: int) -> None:
    order, ends = pack(np.array(lengths, np.int64), length=50, seed=seed)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    rows = np.split(order, ends[:-1]) if lengths else []
    used = [sum(lengths[i] for i in row) for row in rows]
    assert all(0 < one <= 50 for one in used)
    assert sum(one <= 25 for one in used) <= 1  # two half-empty rows would be one


def test_texts_of_real_lengths_fill_the_rows_and_the_seed_decides_which_go_together() -> None:
    drawn = np.random.default_rng(1).lognormal(np.log(28), 1.1, 50_000).astype(np.int64)
    for length in (512, 4096):
        lengths = np.clip(drawn, 1, length)
        order, ends = pack(lengths, length=length, seed=1)
        assert lengths.sum() / (len(ends) * length) >= 0.998
        assert (pack(lengths, length=length, seed=1)[0] == order).all()
        assert (pack(lengths, length=length, seed=2)[0] != order).any()


@given(
    sizes=st.lists(st.integers(2, 60), min_size=20, max_size=60),
    length=st.integers(4, 30),
    shards=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_every_target_comes_once_an_epoch_and_no_document_is_cut_that_fits(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], length: int, shards: int
) -> None:
    documents = [
        [BOS, *(100 + number * 100 + i for i in range(size - 2)), EOS] for number, size in enumerate(sizes)
    ]
    folder = store(
        tmp_path_factory.mktemp("p"), {"а": documents[::2], "б": documents[1::2]}, size=7_000, shards=shards
    )
    batch = epoch(rows_of(folder, length=length))
    pieces = [piece for piece in read(batch) if piece[1][0] != IGNORED]
    assert all(positions == list(range(len(ids))) for ids, _, positions in read(batch))
    assert Counter((*ids, labels[-1]) for ids, labels, _ in pieces) == Counter(
        tuple(document[at : at + length + 1])
        for document in documents
        for at in range(0, len(document) - 1, length)
    )
    assert all(ids[1:] == labels[:-1] for ids, labels, _ in pieces)
    assert batch.num_targets == sum(sizes) - len(sizes)


def test_padding_is_a_piece_of_its_own_without_targets(tmp_path: Path) -> None:
    batch = epoch(rows_of(store(tmp_path, {"а": [[BOS, 2, 3, EOS], [BOS, EOS], [BOS, 4, EOS]]}), length=5))
    assert sum(batch.lengths) == batch.ids.numel() == 10
    padding = [piece for piece in read(batch) if piece[1][0] == IGNORED]
    assert [set(labels) for _, labels, _ in padding] == [{IGNORED}]
    assert batch.num_targets == 6


def test_characters_are_those_that_the_targets_begin(tmp_path: Path) -> None:
    batch = epoch(rows_of(store(tmp_path, {"а": [[BOS, 2, 3, 4, EOS]]}), length=4))
    assert (
        batch.characters == 1 + 1 + 2
    )  # «ж», the first byte of a letter, «да»; special tokens spell nothing


def test_only_the_answers_of_a_dialogue_are_targets(tmp_path: Path) -> None:
    documents = [
        ([BOS, 5, 6, 7, EOS], [True, False, False, True, True]),
        ([BOS, 8, EOS], [False, False, True]),
    ]
    batch = epoch(rows_of(store(tmp_path, {"диалоги": documents}), length=6))
    assert sorted(batch.labels[batch.labels != IGNORED].tolist()) == [EOS, EOS, 7]
    assert {(ids[0], tuple(labels)) for ids, labels, _ in read(batch)} == {
        (BOS, (IGNORED, IGNORED, 7, EOS)),
        (BOS, (IGNORED, EOS)),
    }


def test_windows_are_packed_one_by_one_and_hold_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "WINDOW", 7)
    folder = store(tmp_path, {"а": [[BOS, i, EOS] for i in range(2, 60)]}, shards=3)
    batch = epoch(rows_of(folder, length=8))
    assert Counter(batch.labels.flatten().tolist())[EOS] == 58
    told = json.loads((folder / "rows/8/meta.json").read_text())["а"]
    assert (told["pieces"], told["used"]) == (58, 116)
