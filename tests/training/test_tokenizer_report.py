"""`tokenizer-report`: figures that can be checked by hand, and a table, a plot and JSON of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from training.errors import CorpusError, TokenizerError
from training.vocabulary.comparison import main, report
from training.vocabulary.huggingface import BYTE_SIGNS
from training.vocabulary.loading import load_vocabulary
from training.vocabulary.measure import measure, plus_minus

MISTRAL = load_vocabulary("mistral-v0.1")


def spell(text: str) -> str:
    return "".join(BYTE_SIGNS[byte] for byte in text.encode())


def byte_level(folder: Path, *, lower: bool = False) -> str:
    """Bytes, and the one word « стол»."""
    word, merges = BYTE_SIGNS[ord(" ")], []
    vocabulary = {sign: i for i, sign in enumerate(BYTE_SIGNS.values())}
    for sign in spell("стол"):
        merges.append((word, sign))
        word += sign
        vocabulary[word] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.fixture
def ours(tmp_path: Path) -> str:
    return byte_level(tmp_path / "ours")


def test_figures_are_what_a_person_counts(ours: str) -> None:
    row = measure(load_vocabulary(ours), ["дуб стол стол", "ok стол"], name="listings")

    # д у б: two bytes each, a token a byte; « стол» is one token; «ok» is two.
    tokens = 6 + 1 + 1 + 2 + 1
    assert row.vocabulary == 256 + 8
    assert (row.documents, row.characters) == (2, 20)
    assert row.characters_per_token == 20 / tokens
    assert row.bytes_per_token == (len("дуб стол стол".encode()) + len("ok стол".encode())) / tokens
    assert row.byte_fallback == 6 / tokens, "letters of one byte are whole"
    assert row.tokens_per_word == (7 + 1 + 1 + 3 + 1) / 5, "a word counts with the space before it"
    assert row.one_token_words == 3 / 5
    assert (row.unknown, row.round_trip_failures) == (0, 0)


def test_a_tokenizer_that_writes_the_space_itself_is_not_charged_for_it_twice() -> None:
    row = measure(MISTRAL, ["the the"], name="english")
    assert (row.tokens_per_word, row.one_token_words, row.characters_per_token) == (1, 1, 3.5)


def test_byte_tokens_count_as_fallback_whatever_they_are_called() -> None:
    assert measure(MISTRAL, ["漢𐍈"], name="signs").byte_fallback > 0.5
    assert measure(MISTRAL, ["стол\nстул"], name="lines").byte_fallback == 0, "<0x0A> is a whole character"


def test_a_text_that_comes_back_changed_is_counted(tmp_path: Path) -> None:
    vocabulary = load_vocabulary(byte_level(tmp_path / "lower", lower=True))
    assert measure(vocabulary, ["Стол", "стол"], name="listings").round_trip_failures == 1


def test_interval_is_wide_for_few_documents_narrow_for_many_and_the_same_each_time() -> None:
    rng = np.random.default_rng(3)
    below = rng.integers(20, 200, size=2_000)
    above = (below * rng.normal(3, 0.5, size=2_000)).astype(int)
    few, many = plus_minus(above[:20], below[:20]), plus_minus(above, below)
    assert 3 * many < few
    assert plus_minus(above, below) == many
    # The spread of a weighted mean, by the textbook.
    assert many == pytest.approx(1.96 * 0.5 * np.sqrt((below**2).sum()) / below.sum(), rel=0.1)
    assert plus_minus(above[:1], below[:1]) == 0


def test_nothing_to_measure_is_an_error(ours: str) -> None:
    for texts in ([], [""]):
        with pytest.raises(TokenizerError, match="prose: there is no text"):
            report([load_vocabulary(ours)], {"prose": texts})


@pytest.fixture
def listings(tmp_path: Path) -> Path:
    rows = [
        {"title": "Стол", "body": "Продам стол\u2028дубовый"},
        {"title": "Стул"},
        {"title": "?", "body": "стол"},
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = tmp_path / "listings.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_command_shows_every_tokenizer_on_every_set_and_keeps_it(
    ours: str, listings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prose = tmp_path / "prose.txt"
    prose.write_text("Первый абзац,\nв две строки.\n\n\nВторой абзац.\n", encoding="utf-8")
    out = tmp_path / "report"

    argv = [ours, "mistral-v0.1", "--texts", f"listings={listings}", f"prose={prose}", "--field", "body"]
    assert main([*argv, "--out", str(out)]) == 0

    shown = capsys.readouterr().out
    assert shown.count("ours (264)") == shown.count("mistral-v0.1 (32,000)") == 2
    rows = json.loads((out / "report.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["texts"], row["tokenizer"], row["documents"]) for row in rows] == [
        ("listings", "ours", 2),
        ("listings", "mistral-v0.1", 2),
        ("prose", "ours", 2),
        ("prose", "mistral-v0.1", 2),
    ]
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    assert "mistral-v0.1 (32,000)" in (out / "report.svg").read_text(encoding="utf-8")


def test_limit_takes_the_first_documents(
    ours: str, listings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([ours, "--texts", f"a={listings}", "--field", "title", "--limit", "1"]) == 0
    assert "a (1)" in capsys.readouterr().out


def test_the_same_rows_draw_the_same_files(ours: str, tmp_path: Path) -> None:
    found = report([load_vocabulary(ours), MISTRAL], {"listings": ["Продам стол", "Куплю стул"]})
    first, second = found.save(tmp_path / "a"), found.save(tmp_path / "b")
    assert [path.name for path in first] == ["report.json", "report.png", "report.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": 3}\n', r"bad\.jsonl:2: field 'text' is a number"),
        (b'{"text": "a"}\n\xff\n', r"bad\.jsonl:2: byte 1 of the line is not UTF-8"),
        (
            b'{"title": "a"}\n{"body": "b"}\n',
            r"bad\.jsonl: no row has the field text; there are body, title",
        ),
        (b"[1]\n", r"bad\.jsonl:1: a list, not a JSON object"),
    ],
)
def test_texts_that_cannot_be_read_are_named(ours: str, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        main([ours, "--texts", f"a={path}"])


def test_plain_text_that_is_no_utf8_is_named(ours: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes("стол".encode("cp1251"))
    with pytest.raises(CorpusError, match=r"bad\.txt:1: byte 1 of the line is not UTF-8"):
        main([ours, "--texts", f"a={path}"])


def test_texts_without_a_name_are_an_error(ours: str) -> None:
    with pytest.raises(TokenizerError, match="give NAME=FILE"):
        main([ours, "--texts", "listings.jsonl"])
