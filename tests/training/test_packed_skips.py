"""Ranges of samples that are skipped: jumped over for good, and what was read before stays in place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.packed.order import actual, merge

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda r: (r[0], sum(r))), max_size=6)


@given(ranges=RANGES)
@settings(deadline=None)
def test_skipped_samples_are_jumped_over_and_no_other(ranges: list[tuple[int, int]]) -> None:
    skips: tuple[tuple[int, int], ...] = ()
    for one in ranges:
        skips = merge(skips, new=one)
    gone = {number for begin, end in ranges for number in range(begin, end)}
    assert {number for begin, end in skips for number in range(begin, end)} == gone
    assert all(end < begin for (_, end), (begin, _) in pairwise(skips))
    wanted = [number for number in range(200) if number not in gone][:100]
    assert actual(np.arange(100), skips=skips).tolist() == wanted


def test_later_skip_leaves_what_was_read_before_it() -> None:
    before = actual(np.arange(50), skips=[(10, 20)])
    after = actual(np.arange(50), skips=merge([(10, 20)], new=(45, 60)))
    assert (before[:35] == after[:35]).all()
    assert (before[35], after[35]) == (45, 60)
