"""The mix of domains by characters, and the documents held out: by hash, so the same in any order."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.writers.jsonl import JsonlWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cleaning.mixing import HeldOut, Mixed, plan
from training.errors import CorpusError


def documents(domain: str, num: int, *, length: int = 100) -> list[Document]:
    return [
        Document(f"{number} ".ljust(length, "я"), f"{domain}/{number}", metadata={"domain": domain})
        for number in range(num)
    ]


def test_the_scarce_domain_is_repeated_and_the_plentiful_cut() -> None:
    mix = plan({"ads": 100, "web": 1_000}, {"ads": 0.5, "web": 0.5}, max_repeats=4.0)
    assert mix.factors == pytest.approx({"ads": 4.0, "web": 0.4})
    assert mix.characters == pytest.approx({"ads": 400, "web": 400})


def test_nothing_is_repeated_that_need_not_be() -> None:
    mix = plan({"ads": 100, "web": 300}, {"ads": 0.25, "web": 0.75}, max_repeats=4.0)
    assert mix.factors == pytest.approx({"ads": 1.0, "web": 1.0})


def test_no_shares_keep_everything_once() -> None:
    assert plan({"ads": 100, "web": 300}, {}, max_repeats=4.0).factors == {"ads": 1.0, "web": 1.0}


def test_a_domain_without_a_share_is_left_out() -> None:
    mix = plan({"ads": 100, "web": 300}, {"web": 1.0}, max_repeats=4.0)
    assert mix.factors == {"ads": 0.0, "web": 1.0}
    assert list(Mixed(mix, seed=0).run(iter(documents("ads", 5)))) == []


@pytest.mark.parametrize("available", [{"web": 300}, {"web": 300, "ads": 0}])
def test_a_domain_of_which_nothing_is_left(available: dict[str, int]) -> None:
    with pytest.raises(CorpusError, match="nothing is left of ads"):
        plan(available, {"ads": 0.5, "web": 0.5}, max_repeats=4.0)


shares = st.integers(1, 20)


@settings(max_examples=30, deadline=None)
@given(
    available=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 10**12), min_size=1),
    weights=st.fixed_dictionaries(dict.fromkeys("abcde", shares)),
    max_repeats=st.floats(1, 10),
)
def test_every_plan_keeps_the_shares_and_the_limit(
    available: dict[str, int], weights: dict[str, int], max_repeats: float
) -> None:
    total = sum(weights[domain] for domain in available)
    wanted = {domain: weights[domain] / total for domain in available}
    mix = plan(available, wanted, max_repeats=max_repeats)
    whole = sum(mix.characters.values())
    for domain, share in wanted.items():
        assert mix.characters[domain] / whole == pytest.approx(share)
        assert mix.factors[domain] <= max_repeats * (1 + 1e-9)
    most = max(mix.factors.values())
    assert most == pytest.approx(max_repeats) or min(mix.factors.values()) == pytest.approx(1.0)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.lists(shares, min_size=3, max_size=3), st.integers(1, 4))
def test_what_comes_out_has_the_shares(seed: int, weights: list[int], max_repeats: int) -> None:
    chance = random.Random(seed)
    names = ["ads", "web", "prose"]
    pool = [
        Document("я" * chance.randint(50, 150), f"{name}/{number}", metadata={"domain": name})
        for name, num in zip(names, (2_000, 4_000, 6_000), strict=True)
        for number in range(num)
    ]
    available = Counter[str]()
    for document in pool:
        available[document.metadata["domain"]] += len(document.text)
    wanted = {name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)}
    mix = plan(available, wanted, max_repeats=max_repeats)
    found = Counter[str]()
    for document in Mixed(mix, seed=seed).run(iter(pool)):
        found[document.metadata["domain"]] += len(document.text)
    for name in names:
        # Of n documents kept by chance sqrt(n) more or fewer come at most: four of that, and 1 %.
        tolerance = 0.01 + 4 / max(1.0, mix.characters[name] / 100) ** 0.5
        assert found[name] == pytest.approx(mix.characters[name], rel=tolerance)


def test_repeats_are_numbered_and_whole() -> None:
    mix = plan({"ads": 100, "web": 10_000}, {"ads": 0.5, "web": 0.5}, max_repeats=2.5)
    pool = documents("ads", 1_000)
    found = list(Mixed(mix, seed=0).run(iter(pool)))
    times = Counter(document.id for document in found)
    assert set(times.values()) == {2, 3}
    assert sum(times.values()) == pytest.approx(2_500, rel=0.04)
    assert [document.metadata.get("repeat") for document in found[:2]] == [None, 1]
    assert "repeat" not in pool[0].metadata


def test_the_choice_depends_on_seed_and_document_alone() -> None:
    mix = plan({"ads": 100, "web": 1_000}, {"ads": 0.5, "web": 0.5}, max_repeats=4.0)
    pool = documents("web", 500)
    whole = {document.id for document in Mixed(mix, seed=7).run(iter(pool))}
    parts = [Mixed(mix, seed=7).run(iter(pool[::-1][rank::3]), rank, 3) for rank in range(3)]
    assert {document.id for part in parts for document in part} == whole
    assert {document.id for document in Mixed(mix, seed=8).run(iter(pool))} != whole


def test_held_out_documents_go_to_the_writer(tmp_path: Path) -> None:
    writer = JsonlWriter(str(tmp_path), output_filename="${domain}/${rank}.jsonl", compression=None)
    pool = documents("ads", 20_000)
    passed = list(HeldOut(0.02, seed=0, writer=writer).run(iter(pool)))
    lines = (tmp_path / "ads" / "00000.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) + len(passed) == len(pool)
    assert len(lines) == pytest.approx(400, rel=0.2)


def test_equal_texts_are_held_out_together() -> None:
    pool = documents("ads", 3_000, length=10)
    kept = {document.text for document in HeldOut(0.5, seed=1, writer=None).run(iter(pool))}
    again = [Document(f"  {document.text.upper()}!", "other", metadata={}) for document in reversed(pool)]
    assert {
        document.text[2:-1].lower() for document in HeldOut(0.5, seed=1, writer=None).run(iter(again))
    } == kept
    assert len(kept) == pytest.approx(1_500, rel=0.1)


@pytest.mark.parametrize(("share", "num"), [(0.0, 100), (1.0, 0)])
def test_none_and_all_held_out(share: float, num: int) -> None:
    assert len(list(HeldOut(share, seed=1, writer=None).run(iter(documents("ads", 100))))) == num
