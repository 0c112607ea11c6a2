from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.swap.focus import focus_weights, sparsemax
from training.swap.initial import mean_weights
from training.swap.vectors import SPELLING, TokenVectors, token_vectors
from training.vocabulary.base import Piece


class Words:
    """A vocabulary of whole words: ids are positions in a list."""

    def __init__(self, words: Sequence[str]) -> None:
        self.name = "words"
        self.pieces = [Piece(word, word.encode()) for word in words]
        self.special_ids: dict[str, int] = {}
        self.roles: dict[str, int] = {}
        self.folder: Path | None = None
        self._ids = {word: i for i, word in enumerate(words)}

    def encode(self, text: str) -> list[int]:
        return [self._ids[word] for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.pieces[i].text for i in ids)

    def encode_surface(self, surface: bytes) -> list[int]:
        return [self._ids[surface.decode()]]


KINDS = {
    "куплю": ["диван", "кресло", "шкаф", "стол"],
    "слушаю": ["песню", "музыку", "концерт", "радио"],
}
FRAMES = {"куплю": "куплю {} недорого самовывоз", "слушаю": "слушаю {} громко вечером"}
WORDS = Words(
    [
        "куплю",
        "недорого",
        "самовывоз",
        "слушаю",
        "громко",
        "вечером",
        *itertools.chain(*KINDS.values()),
        "диваны",
    ]
)


def texts(*, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    kinds = rng.choices(sorted(KINDS), k=400)
    return [FRAMES[kind].format(rng.choice(KINDS[kind])) for kind in kinds]


class TestSparsemax:
    @given(arrays(np.float64, (3, 7), elements=st.floats(-50, 50)))
    @settings(deadline=None)
    def test_is_the_nearest_point_of_the_simplex(self, scores: np.ndarray) -> None:
        """The projection is the only point whose kept coordinates share one threshold (KKT)."""
        found = sparsemax(torch.from_numpy(scores)).numpy()
        assert (found >= 0).all()
        assert np.allclose(found.sum(axis=1), 1)
        for row, weights in zip(scores, found, strict=True):
            taus = (row - weights)[weights > 0]
            assert np.allclose(taus, taus[0])
            assert (row[weights == 0] <= taus[0] + 1e-9).all()

    def test_leaves_out_what_is_far_behind(self) -> None:
        assert sparsemax(torch.tensor([[2.0, 1.0, 0.5]])).tolist() == [[1.0, 0.0, 0.0]]
        assert sparsemax(torch.tensor([[0.5, 0.5, -1.0]])).tolist() == [[0.5, 0.5, 0.0]]


class TestVectors:
    def test_words_of_one_kind_are_near(self) -> None:
        vectors = token_vectors(texts(), vocabulary=WORDS, dimensions=6, seed=0).vectors
        place = {piece.text: vectors[i] for i, piece in enumerate(WORDS.pieces)}
        for kind in KINDS.values():
            for word in kind:
                near = max(
                    (other for other in place if other != word), key=lambda other: place[word] @ place[other]
                )
                assert near in kind, f"{word} is nearest to {near}"

    def test_words_spelled_alike_are_near_though_never_seen(self) -> None:
        vectors = token_vectors(texts(), vocabulary=WORDS, dimensions=12, seed=0).vectors
        place = {piece.text: vectors[i] for i, piece in enumerate(WORDS.pieces)}
        near = max(
            (word for word in place if word != "диваны"), key=lambda word: place["диваны"] @ place[word]
        )
        assert near == "диван"

    def test_counts_are_those_of_the_texts(self) -> None:
        counts = token_vectors(["диван стол", "стол", "стол"], vocabulary=WORDS, dimensions=4, seed=0).counts
        found = {WORDS.pieces[i].text: int(count) for i, count in enumerate(counts) if count}
        assert found == {"диван": 1, "стол": 3}

    def test_same_texts_and_seed_same_vectors(self) -> None:
        first, second = (token_vectors(texts(), vocabulary=WORDS, dimensions=6, seed=1) for _ in range(2))
        assert (first.vectors == second.vectors).all()

    def test_documents_are_no_neighbours(self) -> None:
        """One-word documents have no neighbours at all, however many follow each other."""
        alone, none = (
            token_vectors(given, vocabulary=WORDS, dimensions=4, seed=0).vectors
            for given in (["диван", "стол"] * 50, [])
        )
        assert (alone == none).all()

    def test_without_texts_it_is_spelling_alone(self) -> None:
        found = token_vectors([], vocabulary=WORDS, dimensions=4, seed=0)
        assert not found.counts.any()
        assert np.allclose(np.linalg.norm(found.vectors, axis=1), SPELLING)


class TestWeights:
    # New tokens 0-2 stand in the old vocabulary as 5-7; 3 is spelled by two old pieces, 4 by none.
    PIECES = ([5], [6], [7], [1, 2], [], [1, 1, 2])
    VECTORS = np.eye(6, 3, dtype=np.float32)

    def vectors(self, *, counts: int = 20, **changed: list[float]) -> TokenVectors:
        found = self.VECTORS.copy()
        for name, vector in changed.items():
            found[int(name[1:])] = np.array(vector) / np.linalg.norm(vector)
        return TokenVectors(found, np.full(len(found), counts))

    def test_shared_tokens_keep_their_rows(self) -> None:
        found = focus_weights(self.PIECES, found=self.vectors(_3=[1, 1, 0]), num_old=8).toarray()
        for i in range(3):
            assert found[i].tolist() == [float(old == 5 + i) for old in range(8)]

    def test_a_token_takes_after_the_shared_ones_that_it_is_like(self) -> None:
        vectors = self.vectors(_3=[1, 1, -1])
        found = focus_weights(self.PIECES, found=vectors, num_old=8, share=1.0).toarray()[3]
        assert found[5] == found[6] == pytest.approx(0.5)
        assert found[7] == 0

    def test_half_is_the_mean_of_the_pieces(self) -> None:
        vectors = self.vectors(_3=[1, 1, -1])
        found = focus_weights(self.PIECES, found=vectors, num_old=8, share=0.5).toarray()[3]
        assert found.tolist() == pytest.approx([0, 0.25, 0.25, 0, 0, 0.25, 0.25, 0])

    def test_without_pieces_all_comes_from_the_shared_ones(self) -> None:
        found = focus_weights(self.PIECES, found=self.vectors(_4=[0, 0, 1]), num_old=8).toarray()[4]
        assert found[7] == 1

    def test_without_a_vector_it_is_the_mean(self) -> None:
        found = focus_weights(self.PIECES, found=self.vectors(), num_old=8).toarray()
        assert found[5].tolist() == pytest.approx([0, 2 / 3, 1 / 3, 0, 0, 0, 0, 0])
        assert not found[4].any()

    def test_rare_shared_tokens_are_not_taken_after(self) -> None:
        """Their vectors come from a few chances; all rare is the mean."""
        vectors = self.vectors(_3=[1, 1, -1])
        vectors.counts[0] = 19
        found = focus_weights(self.PIECES, found=vectors, num_old=8, share=1.0).toarray()[3]
        assert found[5] == 0
        assert found[6] == 1
        rare = focus_weights(self.PIECES, found=self.vectors(counts=19, _3=[1, 1, 0]), num_old=8)
        assert (rare != mean_weights(self.PIECES, num_old=8)).nnz == 0

    def test_nothing_shared_is_the_mean(self) -> None:
        pieces = [[1, 2], [3, 4, 5]]
        vectors = TokenVectors(np.eye(2, dtype=np.float32), np.full(2, 100))
        found = focus_weights(pieces, found=vectors, num_old=8)
        assert (found != mean_weights(pieces, num_old=8)).nnz == 0

    @given(st.integers(0, 1_000))
    @example(79)  # no shared token has a vector
    @settings(deadline=None, max_examples=20)
    def test_weights_of_a_row_add_up_to_one(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        pieces = [rng.integers(0, 40, size=rng.integers(0, 4)).tolist() for _ in range(30)]
        vectors = rng.normal(size=(30, 5)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[rng.random(30) < 0.2] = 0
        found = TokenVectors(vectors, np.full(30, 100))
        sums = focus_weights(pieces, found=found, num_old=40).sum(axis=1)
        shared = any(len(ids) == 1 and vector.any() for ids, vector in zip(pieces, vectors, strict=True))
        for ids, vector, total in zip(pieces, vectors, sums, strict=True):
            assert total == pytest.approx(1 if ids or (vector.any() and shared) else 0, abs=1e-5)
