"""Auxiliary vectors of the new tokens: near for those with the same neighbours, or of like spelling.

Neighbours: positive pointwise mutual information, factorised. That is what skip-gram with negative sampling
fits implicitly (Levy and Goldberg 2014); contexts smoothed by 0.75 and the square root of the singular values
are what Levy, Goldberg and Dagan (2015, sections 3.1 and 3.3) found best. Spelling: character n-grams, as
fastText adds them for the sake of rare forms. Deterministic, and a minute for 40 MB of text, where fastText
takes twenty on one thread and its vectors, tried on Gemma 3 270M, came out no better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse

from training.vocabulary.base import Vocabulary

WINDOW: Final = 5  # tokens to each side; a neighbour at distance d counts 1 / d
SPELLING: Final = 0.5  # length of the part that is spelling, beside 1 for neighbours
_NGRAMS: Final = (2, 5)
_SMOOTHING: Final = 0.75
_BLOCK: Final = 2_000_000  # tokens counted at once: about 100 MB
_POWER_ITERATIONS: Final = 3
_SEEDS: Final = 2**32  # that numpy takes
_BREAK: Final = -1
_BREAKS: Final = [_BREAK] * WINDOW  # between documents: their tokens are no neighbours


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Vectors [V, dimensions] whose products are similarities, and how often each token was seen [V]."""

    vectors: np.ndarray
    counts: np.ndarray


def token_vectors(
    texts: Iterable[str], *, vocabulary: Vocabulary, dimensions: int, seed: int
) -> TokenVectors:
    """Return a vector for each id; zeros for special tokens that the texts do not have."""
    pairs, counts = _count(texts, vocabulary=vocabulary)
    neighbours = _factorised(_positive_information(pairs), dimensions=dimensions, seed=seed)
    spelling = _factorised(_ngrams(vocabulary), dimensions=dimensions, seed=seed)
    return TokenVectors(np.concatenate([neighbours, SPELLING * spelling], axis=1), counts)


def _count(texts: Iterable[str], *, vocabulary: Vocabulary) -> tuple[sparse.csr_array, np.ndarray]:
    """Return the symmetric weighted counts of pairs [V, V], and those of tokens [V]."""
    size = len(vocabulary.pieces)
    counts = np.zeros(size, dtype=np.int64)
    pairs = sparse.csr_array((size, size), dtype=np.float32)
    for ids in _blocks(texts, vocabulary=vocabulary):
        counts += np.bincount(ids[ids != _BREAK], minlength=size)
        for distance in range(1, WINDOW + 1):
            left, right = ids[:-distance], ids[distance:]
            both = (left != _BREAK) & (right != _BREAK)
            weights = np.full(int(both.sum()), 1 / distance, dtype=np.float32)
            pairs = pairs + sparse.coo_array((weights, (left[both], right[both])), shape=pairs.shape).tocsr()
    return (pairs + pairs.T).tocsr(), counts


def _blocks(texts: Iterable[str], *, vocabulary: Vocabulary) -> Iterator[np.ndarray]:
    ids: list[int] = []
    for text in texts:
        ids += [*vocabulary.encode(text), *_BREAKS]
        if len(ids) >= _BLOCK:
            yield np.array(ids, dtype=np.int32)
            ids = []
    if ids:
        yield np.array(ids, dtype=np.int32)


def _positive_information(pairs: sparse.csr_array) -> sparse.csr_array:
    """Return max(0, log P(w, c) / (P(w) P'(c))), where P' is of counts to the power of 0.75."""
    totals = np.asarray(pairs.sum(axis=1), dtype=np.float64)
    contexts = totals**_SMOOTHING
    contexts /= max(contexts.sum(), 1e-9)
    found = pairs.tocoo()
    rows, columns = found.coords
    information = np.log(found.data / (totals[rows] * contexts[columns]))
    kept = information > 0
    values = information[kept].astype(np.float32)
    return sparse.coo_array((values, (rows[kept], columns[kept])), shape=pairs.shape).tocsr()


def _ngrams(vocabulary: Vocabulary) -> Any:
    """Return the weighted n-grams of each token, its ends marked; none for special tokens."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # here: a second, and focus alone needs it

    texts = [
        "" if one.surface is None else f"<{one.surface.decode(errors='replace')}>"
        for one in vocabulary.pieces
    ]
    return TfidfVectorizer(analyzer="char", ngram_range=_NGRAMS, sublinear_tf=True).fit_transform(texts)


def _factorised(matrix: Any, *, dimensions: int, seed: int) -> np.ndarray:
    """Return a vector of length 1 for each row that is not empty, else zeros."""
    from sklearn.utils.extmath import randomized_svd

    size = min(dimensions, *(side - 1 for side in matrix.shape))
    left, values, _ = randomized_svd(matrix, size, n_iter=_POWER_ITERATIONS, random_state=seed % _SEEDS)
    vectors = (left * np.sqrt(values)).astype(np.float32)
    vectors[np.diff(matrix.indptr) == 0] = 0  # rounding gives them a direction otherwise
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return found
