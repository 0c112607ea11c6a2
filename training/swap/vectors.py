"""Auxiliary vectors of the new tokens: tokens that stand among the same neighbours get near vectors.

Positive pointwise mutual information of neighbours, factorised: what skip-gram with negative sampling fits
implicitly (Levy and Goldberg 2014), with the smoothing of contexts by 0.75 and the square root of the
singular values that Levy, Goldberg and Dagan (2015, sections 3.1 and 3.3) found best. Deterministic, unlike
word2vec on several threads, and a minute for 40 MB of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from scipy import sparse

from training.vocabulary.base import Vocabulary

WINDOW: Final = 5  # tokens to each side; a neighbour at distance d counts 1 / d
_SMOOTHING: Final = 0.75
_BLOCK: Final = 2_000_000  # tokens counted at once: about 100 MB
_POWER_ITERATIONS: Final = 3
_BREAK: Final = -1
_BREAKS: Final = [_BREAK] * WINDOW  # between documents: their tokens are no neighbours


def token_vectors(texts: Iterable[str], *, vocabulary: Vocabulary, dimensions: int, seed: int) -> np.ndarray:
    """Return a vector [dimensions] of length 1 for each id; zeros for one without neighbours in the texts."""
    counts = _count_neighbours(texts, vocabulary=vocabulary)
    size = counts.shape[0]
    if counts.nnz == 0:
        return np.zeros((size, dimensions), dtype=np.float32)
    from sklearn.utils.extmath import randomized_svd  # here: it takes a second, and focus alone needs it

    left, values, _ = randomized_svd(
        _positive_information(counts),
        min(dimensions, size - 1),
        n_iter=_POWER_ITERATIONS,
        random_state=seed,
    )
    vectors = (left * np.sqrt(values)).astype(np.float32)
    vectors[counts.sum(axis=1) == 0] = 0  # rounding leaves them a direction otherwise
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return found


def _count_neighbours(texts: Iterable[str], *, vocabulary: Vocabulary) -> sparse.csr_array:
    """Return the symmetric weighted counts [V, V]."""
    size = len(vocabulary.pieces)
    counts = sparse.csr_array((size, size), dtype=np.float32)
    for ids in _blocks(texts, vocabulary=vocabulary):
        for distance in range(1, WINDOW + 1):
            left, right = ids[:-distance], ids[distance:]
            both = (left != _BREAK) & (right != _BREAK)
            weights = np.full(int(both.sum()), 1 / distance, dtype=np.float32)
            counts = (
                counts + sparse.coo_array((weights, (left[both], right[both])), shape=(size, size)).tocsr()
            )
    return (counts + counts.T).tocsr()


def _blocks(texts: Iterable[str], *, vocabulary: Vocabulary) -> Iterator[np.ndarray]:
    ids: list[int] = []
    for text in texts:
        ids += [*vocabulary.encode(text), *_BREAKS]
        if len(ids) >= _BLOCK:
            yield np.array(ids, dtype=np.int32)
            ids = []
    if ids:
        yield np.array(ids, dtype=np.int32)


def _positive_information(counts: sparse.csr_array) -> sparse.csr_array:
    """Return max(0, log P(w, c) / (P(w) P'(c))), where P' is of counts to the power of 0.75."""
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64)
    contexts = totals**_SMOOTHING
    contexts /= contexts.sum()
    pairs = counts.tocoo()
    rows, columns = pairs.coords
    information = np.log(pairs.data / (totals[rows] * contexts[columns]))
    kept = information > 0
    values = information[kept].astype(np.float32)
    return sparse.csr_array(sparse.coo_array((values, (rows[kept], columns[kept])), shape=counts.shape))
