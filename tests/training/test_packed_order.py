"""The order of reading: every row once an epoch, the mixture in any window, skips, nothing kept in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import ConfigError, CorpusError
from training.packed.order import Order
from training.packed.shuffle import keyed, permuted

PINNED = (3, 2, 1, 4, 6, 7, 8, 5, 0, 9)
SHARES = st.dictionaries(st.sampled_from("абвгде"), st.integers(1, 1_000), min_size=1)


@given(size=st.integers(1, 3_000), seed=st.integers(0, 2**40))
@settings(deadline=None)
def test_permutation_reaches_every_row_once(size: int, seed: int) -> None:
    found = permuted(np.arange(size), size=size, keys=keyed("rows", seed))
    assert sorted(found.tolist()) == list(range(size))


def test_permutation_is_pinned_and_changes_with_seed_domain_and_epoch() -> None:
    keys = [
        keyed("rows", 1, "а", 0),
        keyed("rows", 2, "а", 0),
        keyed("rows", 1, "б", 0),
        keyed("rows", 1, "а", 1),
    ]
    orders = [tuple(permuted(np.arange(10), size=10, keys=one).tolist()) for one in keys]
    assert orders[0] == PINNED  # on every machine, with every version of NumPy: a resumed run relies on it
    assert len(set(orders)) == 4


def test_neighbours_do_not_stay_neighbours() -> None:
    found = permuted(np.arange(10_000), size=10_000, keys=keyed("rows", 1))
    assert abs(np.corrcoef(found, np.arange(10_000))[0, 1]) < 0.03
    assert np.mean(np.abs(np.diff(found)) < 100) < 0.03  # 2 % by chance


@given(rows=st.dictionaries(st.sampled_from("абвг"), st.integers(1, 40), min_size=1), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_epoch_without_weights_reads_every_row_once(rows: dict[str, int], seed: int) -> None:
    order, total = Order(rows, weights={}, seed=seed), sum(rows.values())
    for epoch in range(3):
        domains, numbers, epochs = order.locate(np.arange(epoch * total, (epoch + 1) * total))
        read = sorted(zip((order.domains[i] for i in domains), numbers.tolist(), strict=True))
        assert read == sorted((domain, row) for domain in rows for row in range(rows[domain]))
        assert set(epochs.tolist()) == {epoch}


@given(shares=SHARES, begin=st.integers(0, 10**9), num=st.integers(1, 5_000))
@settings(max_examples=40, deadline=None)
def test_any_window_holds_the_mixture(shares: dict[str, int], begin: int, num: int) -> None:
    order = Order(dict.fromkeys(shares, 7), weights=shares, seed=1)
    domains, _, _ = order.locate(np.arange(begin, begin + num))
    for i, domain in enumerate(order.domains):
        wanted = num * shares[domain] / sum(shares.values())
        assert (
            abs(np.sum(domains == i) - wanted) < 2 + num * len(shares) / 2**16
        )  # the rounding of the shares


def test_domain_comes_again_when_it_is_used_up_in_another_order() -> None:
    order = Order({"мало": 5, "много": 1_000}, weights={"мало": 0.5, "много": 0.5}, seed=1)
    domains, rows, epochs = order.locate(np.arange(40))
    few = domains == order.domains.index("мало")
    turns = [tuple(rows[few & (epochs == turn)].tolist()) for turn in range(4)]
    assert all(sorted(turn) == list(range(5)) for turn in turns)
    assert len(set(turns)) > 1


def test_domain_of_no_weight_is_never_read() -> None:
    for weights in ({"а": 1.0, "б": 0.0}, {"а": 1.0}):
        assert Order({"а": 3, "б": 3}, weights=weights, seed=1).domains == ("а",)


@pytest.mark.parametrize(
    ("rows", "weights", "kind", "word"),
    [
        ({"а": 3}, {"а": 0.5, "б": 0.5}, ConfigError, "no text of б"),
        ({"а": 3, "б": 0}, {"б": 1.0}, ConfigError, "there is а"),
        ({"а": 3}, {"а": 0.0}, ConfigError, "every share is 0"),
        ({"а": 0}, {}, CorpusError, "nothing to train on"),
    ],
)
def test_mixture_that_cannot_be_is_refused(
    rows: dict[str, int], weights: dict[str, float], kind: type[Exception], word: str
) -> None:
    with pytest.raises(kind, match=word):
        Order(rows, weights=weights, seed=1)


@given(parts=st.integers(1, 8), begin=st.integers(0, 200_000))
@settings(max_examples=20, deadline=None)
def test_order_does_not_depend_on_who_reads_which_part(parts: int, begin: int) -> None:
    order = Order({"а": 50, "б": 13}, weights={"а": 0.7, "б": 0.3}, seed=3)
    samples = np.arange(begin, begin + 64)
    whole = np.stack(order.locate(samples))
    for rank in range(parts):
        assert (np.stack(order.locate(samples[rank::parts])) == whole[:, rank::parts]).all()
