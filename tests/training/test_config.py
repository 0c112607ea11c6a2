"""Run files: every key known, every fault named with its file and key; every shipped file parses."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.config import load_run
from training.errors import ConfigError

RUNS = sorted((Path(__file__).parents[2] / "training" / "runs").glob("*.toml"))
SMALL = """
name = "small"
[[corpus.sources]]
name = "ads"
made = 10
domain = "listings"
"""


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_run_file_parses_and_is_named_like_its_file(path: Path) -> None:
    assert load_run(path).name == path.stem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SMALL + "colour = 1", r"corpus\.sources\.0\.colour"),
        ("seeds = 1\n" + SMALL, "seeds"),
        (SMALL.replace("made = 10", ""), "either `path` or `made`"),
        (SMALL.replace("made = 10", 'made = 10\npath = "x"'), "either `path` or `made`"),
        (SMALL.replace('"listings"', '"Объявления"'), r"domain"),
        (SMALL + "[corpus\n", "line 7"),
        ('name = "x"\n[corpus]\nsources = []', "sources"),
        (SMALL + SMALL.partition("\n\n")[0].replace('name = "small"', ""), "two sources have one name"),
        (SMALL + '[embeddings]\nbase = "tiny"', r"\[tokenizer\]"),
        (SMALL + "[tokenizer]\nvocabulary = 100", "vocabulary"),
        (SMALL + '[tokenizer]\nvocabulary = "32k"', "vocabulary"),
        (
            SMALL + "[[training]]\nname = 'x'\ntrainable = 'all'\ntokens = 1\nlearning_rate = '1e-5'",
            "learning_rate",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "file.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told) as caught:
        load_run(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mix", "told"),
    [
        ("{ listings = 0.5 }", "add up to 0.5"),
        ("{ listings = 0.5, prose = 0.5 }", "no source has the domain prose"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(tmp_path: Path, mix: str, told: str) -> None:
    path = tmp_path / "file.toml"
    path.write_text(SMALL.replace("[[corpus.sources]]", f"[corpus]\nmix = {mix}\n[[corpus.sources]]"))
    with pytest.raises(ConfigError, match=told):
        load_run(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_run(tmp_path / "absent.toml")


def test_a_number_without_a_point_is_no_fault_where_a_float_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text(SMALL + "[tokenizer]\nsample_mb = 4\n")
    tokenizer = load_run(path).tokenizer
    assert tokenizer is not None
    assert tokenizer.sample_mb == 4.0
