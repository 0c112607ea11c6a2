"""Which documents a tokenizer is trained on: by domain and factor, whatever the shards."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import zstandard

from training.errors import CorpusError, TokenizerError
from training.vocabulary.sample import sample

NUM = {"listings": 300, "prose": 1_200}
TEXTS = {domain: [f"{domain} номер {i}, {'текст ' * 40}" for i in range(num)] for domain, num in NUM.items()}
MB = {domain: sum(len(text.encode()) for text in texts) / 1e6 for domain, texts in TEXTS.items()}


def write(path: Path, texts: Sequence[str]) -> Path:
    lines = "".join(
        json.dumps({"text": text, "id": "1", "metadata": {}}, ensure_ascii=False) + "\n" for text in texts
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pack = zstandard.compress if path.suffix == ".zst" else gzip.compress
    path.write_bytes(pack(lines.encode()))
    return path


def cut(folder: Path, num: int, *, suffix: str = "gz") -> dict[str, list[Path]]:
    """Lay the corpus out in `num` shards a domain."""
    return {
        domain: [write(folder / domain / f"{i}.jsonl.{suffix}", texts[i::num]) for i in range(num)]
        for domain, texts in TEXTS.items()
    }


def draw(
    shards: Mapping[str, Sequence[Path]],
    *,
    budget_mb: float = 100,
    upweight: Mapping[str, float] | None = None,
    seed: int = 1,
) -> list[str]:
    return list(sample(shards, budget_mb=budget_mb, upweight=upweight or {}, seed=seed))


def test_all_is_taken_once_where_it_fits(tmp_path: Path) -> None:
    assert sorted(draw(cut(tmp_path, 2))) == sorted(TEXTS["listings"] + TEXTS["prose"])


def test_other_shards_and_another_order_draw_the_same(tmp_path: Path) -> None:
    few = draw(cut(tmp_path / "few", 1), budget_mb=0.3, upweight={"listings": 2.5})
    many = cut(tmp_path / "many", 7, suffix="zst")
    turned = {domain: paths[::-1] for domain, paths in reversed(many.items())}
    assert sorted(few) == sorted(draw(turned, budget_mb=0.3, upweight={"listings": 2.5}))


def test_a_seed_draws_the_same_again_and_another_one_others(tmp_path: Path) -> None:
    shards = cut(tmp_path, 2)
    assert draw(shards, budget_mb=0.2) == draw(shards, budget_mb=0.2)
    assert set(draw(shards, budget_mb=0.2)) != set(draw(shards, budget_mb=0.2, seed=2))


def test_a_factor_repeats_a_domain_that_often_and_never_more(tmp_path: Path) -> None:
    counts = Counter(draw(cut(tmp_path, 2), upweight={"listings": 2.5}))
    assert {counts[text] for text in TEXTS["prose"]} == {1}
    assert {counts[text] for text in TEXTS["listings"]} == {2, 3}
    assert sum(counts[text] for text in TEXTS["listings"]) == pytest.approx(2.5 * NUM["listings"], rel=0.1)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_budget_is_kept_and_the_factor_decides_the_share(tmp_path: Path, factor: float) -> None:
    drawn = draw(cut(tmp_path, 2), budget_mb=0.3, upweight={"listings": factor})
    size = sum(len(text.encode()) for text in drawn) / 1e6
    assert size == pytest.approx(0.3, rel=0.1)
    share = sum(text.startswith("listings") for text in drawn) / len(drawn)
    weighted = factor * MB["listings"]
    assert share == pytest.approx(weighted / (weighted + MB["prose"]), rel=0.15)


def test_a_factor_of_no_domain_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="no domain is called listing; there are listings, prose"):
        draw(cut(tmp_path, 1), upweight={"listing": 3})


def test_a_corpus_without_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="no text"):
        draw({"listings": [write(tmp_path / "0.jsonl.gz", [])], "prose": []})


def test_a_broken_line_is_named_by_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "0.jsonl.gz"
    path.write_bytes(gzip.compress('{"text": "стол"}\n{"text": "сту\n'.encode()))
    with pytest.raises(CorpusError, match=r"0\.jsonl\.gz:2: not JSON"):
        draw({"listings": [path]})


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_file_that_ends_too_early_is_named(tmp_path: Path, suffix: str) -> None:
    [path] = cut(tmp_path, 1, suffix=suffix)["prose"]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorpusError, match=rf"0\.jsonl\.{suffix}:\d+: .*(broken|not JSON)"):
        draw({"prose": [path]})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"9\.jsonl\.gz: No such file"):
        draw({"prose": [tmp_path / "9.jsonl.gz"]})
