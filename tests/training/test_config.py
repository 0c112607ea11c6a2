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
TRAINED = (
    SMALL
    + """[base]
checkpoint = 'tiny'
[[training]]
name = 'x'
trainable = 'all'
tokens = 1
learning_rate = 1e-5
"""
)
EYES = """
[[photos]]
name = "things"
archive = "a.tar"
rows = "a.jsonl.gz"
kinds = { cup = "чашка" }
licence = "CC0-1.0"
source = "nobody"
[clip.export]
name = "small"
base = "b"
licence = "MIT"
data = "own"
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
        (SMALL + EYES, "of texts .* or of photos"),
        ('name = "x"\n' + EYES.partition("[clip")[0], "need each other"),
        ('name = "x"\n' + EYES.partition("[clip")[0] + EYES, "two sets of photos have one name"),
        ('name = "x"\n' + EYES + "[clip.image]\nimage_size = 250", r"clip\.image\.image_size"),
        ('name = "x"\n' + EYES + "[clip.text]\nwidth = 30", "no multiple of heads"),
        ('name = "x"\n[corpus]\nsources = []', "sources"),
        (SMALL + SMALL.partition("\n\n")[0].replace('name = "small"', ""), "two sources have one name"),
        (SMALL + "[embeddings]", r"\[tokenizer\]"),
        (SMALL + "[tokenizer]\n[embeddings]", r"\[base\]"),
        (
            SMALL + '[base]\ncheckpoint = "tiny"\n[tokenizer]\n[embeddings]\nbase = "tiny"',
            r"embeddings\.base",
        ),
        (SMALL + "[tokenizer]\nvocabulary = 100", "vocabulary"),
        (SMALL + '[tokenizer]\nvocabulary = "32k"', "vocabulary"),
        (TRAINED.replace("1e-5", "'1e-5'"), r"training\.0\.learning_rate"),
        (TRAINED.replace("[base]\ncheckpoint = 'tiny'\n", ""), r"\[base\]"),
        (TRAINED + "colour = 1", r"training\.0\.colour"),
        (TRAINED + "guard = { sigma = 3 }", r"training\.0\.guard\.sigma"),
        (
            TRAINED + "batch_tokens = 1000",
            r"batch_tokens \(1,000\) is no multiple of sequence_length \(4,096\)",
        ),
        (TRAINED + "schedule = 'wsd'\nwarm_up = 0.5\ndecay = 0.6", "more than the whole"),
        (TRAINED + "mixture = { listings = 0.5 }", "do not add up to 1"),
        (TRAINED + "mixture = { prose = 1.0 }", "no source has prose"),
        (TRAINED + "data = 'dialogues'", r"needs a \[\[dialogues\]\]"),
        (TRAINED + "vocabulary = 'base'", "for runs with \\[embeddings\\]"),
        (TRAINED.replace("'x'", "'packing'"), "names must differ"),
        (TRAINED + "[[dialogues]]\nname = 'd'", "either `path` or `made`"),
        (SMALL + "[export]\nname = 'm'\nlicence = 'MIT'\ndata = 'own'", r"needs a \[\[training\]\]"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "file.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told) as caught:
        load_run(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_extends_another_table_by_table(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text('seed = 3\nname = "small"\n' + EYES, encoding="utf-8")
    own = (
        'extends = "small.toml"\nname = "large"\n[clip.export]\nname = "large-eyes"\n[clip.image]\nviews = 2'
    )
    (tmp_path / "large.toml").write_text(own, encoding="utf-8")
    small, large = load_run(tmp_path / "small.toml"), load_run(tmp_path / "large.toml")
    assert (large.name, large.seed, large.photos) == ("large", 3, small.photos)
    assert small.clip
    assert large.clip
    assert large.clip.export == small.clip.export.model_copy(update={"name": "large-eyes"})
    assert large.clip.image == small.clip.image.model_copy(update={"views": 2})


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ('extends = "other.toml"', r"other\.toml: .*No such file"),
        ('extends = "file.toml"', r"extends: file\.toml itself extends a file"),
        ("extends = 1", "extends: expected the name of a run file"),
    ],
)
def test_what_cannot_be_extended_is_told(tmp_path: Path, own: str, told: str) -> None:
    (tmp_path / "file.toml").write_text(own, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_run(tmp_path / "file.toml")


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


def test_steps_and_rows_of_a_stage_follow_from_its_tokens(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text(
        TRAINED.replace("tokens = 1", "tokens = 100_001") + "batch_tokens = 8_192\nsequence_length = 512"
    )
    [training] = load_run(path).training
    assert training.batch_rows == 16
    assert training.num_steps == 13  # the last one sees more than is left, not less


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_run_file_is_the_whole_article(path: Path) -> None:
    run = load_run(path)
    if run.clip:
        assert {photos.role(label) for photos in run.photos for label in photos.kinds} == {
            "taught",
            "tuned",
            "unknown",
        }
        return
    assert run.tokenizer
    assert run.embeddings
    assert run.export
    trained = [
        (training.trainable.removeprefix("new-"), training.data)
        for training in run.training
        if training.vocabulary == "new"
    ]
    assert trained == [("embeddings", "documents"), ("all", "documents"), ("all", "dialogues")]
    rates = [training.learning_rate for training in run.training]
    assert rates[-1] < max(rates), "answers are learnt more gently than a language"


@pytest.mark.parametrize("name", ["mistral-7b", "llama3-8b"])
def test_the_large_runs_go_on_with_the_base_before_the_swap(name: str) -> None:
    run = load_run(next(path for path in RUNS if path.stem == name))
    assert [training.vocabulary for training in run.training] == ["base", "new", "new", "new"]
    assert (run.compute.gpus, run.compute.gpu_memory_gb) == (9 * 8, 80.0)
