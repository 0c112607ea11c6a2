"""`python -m training run`: bad input ends in one line that names the place; nothing stays half-written."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from training.__main__ import main

GOOD = "Продам хороший велосипед номер {n}, почти новый, стоял в гараже у брата, на ходу. Торг уместен."
RUN = """
name = "case"
[corpus]
held_out = 0.0
near_duplicates = false
executor = {{ tasks = 1, workers = 1 }}
[[corpus.sources]]
name = "ads"
path = "{path}"
format = "{format}"
domain = "listings"
profile = "listings"
{more}
"""


def run_file(folder: Path, path: str, *, form: str = "jsonl", more: str = "") -> Path:
    file = folder / "case.toml"
    file.write_text(RUN.format(path=path, format=form, more=more), encoding="utf-8")
    return file


def lines(num: int) -> bytes:
    rows = (json.dumps({"text": GOOD.format(n=n * 7919)}, ensure_ascii=False) for n in range(num))
    return ("\n".join(rows) + "\n").encode()


def run(folder: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["run", str(file), "--data", str(folder), "--out", str(folder / "out")])
    return code, capsys.readouterr().err


def case_broken_gzip(folder: Path) -> Path:
    (folder / "ads.jsonl.gz").write_bytes(gzip.compress(lines(5000))[:-3000])
    return run_file(folder, "ads.jsonl.gz")


def case_no_gzip(folder: Path) -> Path:
    (folder / "ads.jsonl.gz").write_bytes(lines(5))
    return run_file(folder, "ads.jsonl.gz")


def case_not_json(folder: Path) -> Path:
    (folder / "ads.jsonl").write_bytes(lines(2) + b"{'text': 1}\n" + lines(2))
    return run_file(folder, "ads.jsonl")


def case_invalid_utf8(folder: Path) -> Path:
    (folder / "ads.jsonl").write_bytes(lines(3) + b'{"text": "' + b"\xd0\xff" + b'"}\n')
    return run_file(folder, "ads.jsonl")


def case_invalid_utf8_in_plain_text(folder: Path) -> Path:
    (folder / "ads.txt").write_bytes("Хороший стол\n".encode() + b"\xff\xfe broken\n")
    return run_file(folder, "ads.txt", form="text", more='documents = "line"')


def case_wrong_field(folder: Path) -> Path:
    (folder / "ads.jsonl").write_bytes(lines(3))
    return run_file(folder, "ads.jsonl", more='text = ["description"]')


def case_no_file(folder: Path) -> Path:
    return run_file(folder, "absent/*.jsonl")


def case_empty_corpus(folder: Path) -> Path:
    (folder / "ads.jsonl").write_bytes(b"")
    return run_file(folder, "ads.jsonl")


def case_vocabulary_too_large(folder: Path) -> Path:
    (folder / "ads.jsonl").write_bytes(lines(50))
    return run_file(folder, "ads.jsonl", more="[tokenizer]\nvocabulary = 32768")


def case_upweight_of_no_domain(folder: Path) -> Path:
    (folder / "ads.jsonl").write_bytes(lines(50))
    return run_file(folder, "ads.jsonl", more="[tokenizer]\nvocabulary = 512\nupweight = { prose = 2.0 }")


def case_base_without_tokenizer(folder: Path) -> Path:
    (folder / "ads.jsonl").write_bytes(lines(300))
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text("{}")
    (folder / "base" / "model.safetensors").write_bytes(b"")
    more = '[tokenizer]\nvocabulary = 512\n[embeddings]\n[base]\ncheckpoint = "base"'
    return run_file(folder, "ads.jsonl", more=more)


def case_unknown_key(folder: Path) -> Path:
    return run_file(folder, "ads.jsonl", more="colour = 1")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (case_broken_gzip, r"ads.jsonl.gz:"),
        (case_no_gzip, r"ads.jsonl.gz:"),
        (case_not_json, "ads.jsonl:3: "),
        (case_invalid_utf8, "ads.jsonl:4: "),
        (case_invalid_utf8_in_plain_text, "ads.txt:2: "),
        (case_wrong_field, "no row has the field description"),
        (case_no_file, "source ads: no file matches absent/*.jsonl"),
        (case_empty_corpus, "nothing is left of 0 documents"),
        (case_vocabulary_too_large, "not of 32,768"),
        (case_upweight_of_no_domain, "no domain is called prose"),
        (case_base_without_tokenizer, "base has no tokenizer"),
        (case_unknown_key, "case.toml: corpus.sources.0.colour"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_one_line_with_its_place(case, told: str, tmp_path: Path, capsys) -> None:
    code, error = run(tmp_path, case(tmp_path), capsys)
    assert code == 1
    last = error.splitlines()[-1]
    assert last.startswith("error: ")
    assert told in last
    assert "Traceback" not in error
    made = {path.name for path in (tmp_path / "out" / "case").glob("*") if path.is_symlink()}
    assert made == ({"corpus"} if case in {case_vocabulary_too_large, case_upweight_of_no_domain} else set())
    for stage in ("tokenizer", "embeddings"):
        assert not list((tmp_path / "out").glob(f"case/{stage}-*"))


def test_a_text_of_200_mb_is_dropped_with_its_reason(tmp_path: Path, capsys) -> None:
    with (tmp_path / "ads.jsonl").open("wb") as file:
        file.write(lines(20))
        file.write(b'{"text": "' + "слово ".encode() * (200_000_000 // 11) + b'"}\n')
    code, error = run(tmp_path, run_file(tmp_path, "ads.jsonl"), capsys)
    assert code == 0, error
    report = json.loads((tmp_path / "out" / "case" / "corpus" / "report.json").read_text(encoding="utf-8"))
    assert [(row["reason"], row["documents"]) for row in report["reasons"]] == [("too_long", 1)]
    assert report["kept"]["documents"] == 20


def test_a_run_ends_with_a_table_and_the_second_says_that_nothing_was_to_do(tmp_path: Path, capsys) -> None:
    (tmp_path / "ads.jsonl").write_bytes(lines(40))
    file = run_file(tmp_path, "ads.jsonl")
    for state in ("done", "finished earlier"):
        assert main(["run", str(file), "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
        printed = capsys.readouterr().out
        assert state in printed
        assert "documents kept: 40" in printed
        assert "report.html" in printed


def test_prune_says_what_it_removed(tmp_path: Path, capsys) -> None:
    (tmp_path / "ads.jsonl").write_bytes(lines(40))
    file = run_file(tmp_path, "ads.jsonl")
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--prune"]
    assert main(["run", str(file), *options]) == 0
    assert "removed" not in capsys.readouterr().out
    (tmp_path / "ads.jsonl").write_bytes(lines(41))
    assert main(["run", str(file), *options]) == 0
    assert "removed" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "case").glob("corpus-*"))) == 1


def test_help_and_a_missing_command_need_no_torch(capsys) -> None:
    for arguments in (["--help"], ["run", "--help"], []):
        with pytest.raises(SystemExit):
            main(arguments)
    assert "run" in capsys.readouterr().out
