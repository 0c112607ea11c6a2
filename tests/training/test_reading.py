import gzip
import json
import pickle

import pyarrow
import pyarrow.parquet
import pytest
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.writers.jsonl import JsonlWriter

from training.cleaning import readable
from training.cleaning.reading import SourceReader, dealt, files_of
from training.config import Source
from training.errors import ConfigError, CorpusError, TrainingError


def source(**changes):
    return Source(**{"name": "ads", "path": "*.jsonl*", "domain": "market", "profile": "listings", **changes})


def packed(rows):
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def read(tmp_path, *sources, rank=0, of=1, **options):
    return list(SourceReader(sources, data=tmp_path, **options).run(None, rank, of))


def dropped(tmp_path, *sources):
    """What is read with bad lines dropped, and what was written to the exclusions."""
    writer = JsonlWriter(str(tmp_path / "out"), output_filename="${rank}.jsonl", compression=None)
    reader = SourceReader(sources, data=tmp_path, bad_lines="drop", exclusion_writer=writer)
    kept = list(reader.run(None, 0, 1))
    path = tmp_path / "out" / "00000.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return kept, [json.loads(line) for line in lines], reader.stats.to_dict()["stats"]


def test_a_document_knows_where_it_comes_from(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(packed([{"text": "Продам диван"}, {"text": "Отдам кота"}]))
    documents = read(tmp_path, source(licence="CC0"))
    assert [document.text for document in documents] == ["Продам диван", "Отдам кота"]
    assert documents[1].id == "ads/a.jsonl#2"
    assert documents[1].metadata == {
        "source": "ads",
        "profile": "listings",
        "domain": "market",
        "licence": "CC0",
    }


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_lines_end_at_the_newline_alone(tmp_path, name):
    text = "первая\u2028вторая\x85третья\u2029"
    raw = b"\xef\xbb\xbf" + packed([{"text": text}]) + b"\n  \n" + json.dumps({"text": "без конца"}).encode()
    if name.endswith("gz"):
        raw = gzip.compress(raw[:50]) + gzip.compress(raw[50:])  # two members, as concatenated archives have
    if name.endswith("zst"):
        raw = pyarrow.compress(raw, codec="zstd", asbytes=True)
    (tmp_path / name).write_bytes(raw)
    documents = read(tmp_path, source())
    assert [document.text for document in documents] == [text, "без конца"]
    assert documents[1].id.endswith("#4")


def test_fields_are_joined_and_may_be_missing(tmp_path):
    rows = [
        {"title": "Диван", "description": "Почти новый"},
        {"title": "Стул", "description": None},
        {"title": ["Как дела?", "Хорошо."]},
        {"description": "Только описание"},
    ]
    (tmp_path / "a.jsonl").write_bytes(packed(rows))
    documents = read(tmp_path, source(text=("title", "description")))
    assert [document.text for document in documents] == [
        "Диван\n\nПочти новый",
        "Стул",
        "Как дела?\nХорошо.",
        "Только описание",
    ]


def test_a_document_without_text_is_dropped_and_counted_even_where_bad_lines_fail(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(packed([{"text": ""}, {"text": " \n"}, {}, {"text": "есть"}]))
    reader = SourceReader([source()], data=tmp_path)
    assert [document.text for document in reader.run()] == ["есть"]
    assert reader.stats.to_dict()["stats"]["dropped_empty"] == 3


def test_parquet_is_read_as_jsonl_is(tmp_path):
    table = pyarrow.table({"title": ["Диван", None, "Стол"], "lines": [["а", "б"], None, []], "n": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    documents = read(tmp_path, source(path="*.parquet", format="parquet", text=("title", "lines")))
    assert [(document.text, document.id) for document in documents] == [
        ("Диван\n\nа\nб", "ads/a.parquet#1"),
        ("Стол", "ads/a.parquet#3"),
    ]


@pytest.mark.parametrize(
    ("unit", "texts", "numbers"),
    [
        ("line", ["Раз", "два", "три"], [1, 2, 5]),
        ("paragraph", ["Раз\nдва", "три"], [1, 5]),
        ("file", ["Раз\nдва\n\n \nтри"], [1]),
    ],
)
def test_a_plain_text_is_read_by_lines_paragraphs_or_whole(tmp_path, unit, texts, numbers):
    (tmp_path / "a.txt").write_text("Раз\nдва\n\n \nтри\n", encoding="utf-8")
    documents = read(tmp_path, source(path="a.txt", format="text", documents=unit))
    assert [document.text for document in documents] == texts
    assert [int(document.id.split("#")[1]) for document in documents] == numbers


BAD = {
    "not_json": (b'{"text": "open\n', 2, "not JSON"),
    "not_an_object": (b'["text"]\n', 2, "a list, not a JSON object"),
    "invalid_utf8": (b'{"text": "\xcf\xf0\xee\xe4\xe0\xec"}\n', 2, "byte 11 of the line is not UTF-8"),
    "wrong_type": (b'{"text": {"ru": 1}}\n', 2, "field 'text' is an object"),
    "a_number": (b'{"text": ["a", 1]}\n', 2, "field 'text' is a list"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_line_stops_the_run_and_is_named(tmp_path, kind):
    line, number, what = BAD[kind]
    (tmp_path / "a.jsonl").write_bytes(packed([{"text": "хорошо"}]) + line + packed([{"text": "тоже"}]))
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, source())
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}:{number}: {what}")
    assert 'bad_lines = "drop"' in str(caught.value)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_line_can_be_dropped_with_its_reason_and_its_words(tmp_path, kind):
    line, number, what = BAD[kind]
    (tmp_path / "a.jsonl").write_bytes(packed([{"text": "хорошо"}]) + line + packed([{"text": "тоже"}]))
    kept, (gone,), counts = dropped(tmp_path, source())
    assert [document.text for document in kept] == ["хорошо", "тоже"]
    reason = {"not_an_object": "not_json", "a_number": "wrong_type"}.get(kind, kind)
    assert gone["metadata"]["filter_reason"] == reason
    assert gone["metadata"]["what"].startswith(what)
    assert gone["id"] == f"ads/a.jsonl#{number}"
    assert gone["text"] == line.decode(errors="replace")
    assert counts[f"dropped_{reason}"] == counts["dropped"] == 1


def test_of_a_long_bad_line_only_a_part_is_kept(tmp_path):
    (tmp_path / "a.jsonl").write_bytes("{плохо ".encode() * 100_000 + b"\n")
    _, (gone,), _ = dropped(tmp_path, source())
    assert len(gone["text"]) == 2_000


def test_after_a_broken_gzip_the_next_file_is_read(tmp_path):
    rows = [{"text": f"{number} {number**9}"} for number in range(20_000)]
    whole = gzip.compress(packed(rows))
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "b.jsonl.gz").write_bytes(b"no archive at all")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(packed([{"text": "цел"}])))
    kept, gone, _ = dropped(tmp_path, source())
    assert kept[-1].text == "цел"
    assert len(kept) > 10_000
    assert [document["metadata"]["filter_reason"] for document in gone] == ["broken_gzip"] * 2
    assert [document["id"] for document in gone] == [f"ads/a.jsonl.gz#{len(kept)}", "ads/b.jsonl.gz#1"]
    with pytest.raises(CorpusError, match=rf"a\.jsonl\.gz:{len(kept)}: the gzip archive is broken"):
        read(tmp_path, source())


def test_a_truncated_zstandard_archive_and_a_broken_parquet_are_named(tmp_path):
    packed_rows = pyarrow.compress(
        packed([{"text": str(n**9)} for n in range(9_000)]), codec="zstd", asbytes=True
    )
    (tmp_path / "a.jsonl.zst").write_bytes(packed_rows[:-100])
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CorpusError, match="the Zstandard archive is broken"):
        read(tmp_path, source())
    with pytest.raises(CorpusError, match=r"a\.parquet:1: the Parquet file is broken"):
        read(tmp_path, source(path="a.parquet", format="parquet"))


@pytest.mark.parametrize("unit", ["line", "paragraph", "file"])
def test_invalid_bytes_of_a_plain_text_are_named_by_their_line(tmp_path, unit):
    (tmp_path / "a.txt").write_bytes("Раз\nдва\n".encode() + b"\xff\xfe\n")
    with pytest.raises(CorpusError, match=r"a\.txt:3: byte 1 of the line is not UTF-8"):
        read(tmp_path, source(path="a.txt", format="text", documents=unit))


@pytest.mark.parametrize("fmt", ["jsonl", "text"])
def test_what_is_larger_than_memory_allows_is_refused_with_its_place(tmp_path, monkeypatch, fmt):
    monkeypatch.setattr(readable, "LARGEST", 10_000)
    (tmp_path / "a.jsonl").write_bytes(packed([{"text": "д" * 9_000}, {"text": "мал"}]))
    kept, (gone,), _ = dropped(tmp_path, source(format=fmt, documents="line"))
    assert gone["metadata"]["filter_reason"] == "too_large"
    assert gone["id"].endswith("#1")
    assert "мал" in kept[0].text


def test_a_field_that_no_row_has_is_told_before_anything_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(packed([{"text": "есть", "title": "и это"}]) + b"broken\n")
    with pytest.raises(CorpusError, match=r"no row has the field txt; .*there are text, title"):
        read(tmp_path, source(text=("title", "txt")), bad_lines="drop")


def test_a_field_that_only_another_file_has_is_no_mistake(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(packed([{"text": "без заголовка"}]))
    (tmp_path / "b.jsonl").write_bytes(packed([{"title": "с ним"}]))
    assert len(read(tmp_path, source(text=("title", "text")))) == 2


def test_a_path_that_matches_nothing_is_an_error_of_the_run_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=rf"source ads: no file matches \*\.gz under {tmp_path}"):
        files_of(source(path="*.gz"), data=tmp_path)
    with pytest.raises(ConfigError, match=r"it is a folder: say folder/\*"):
        files_of(source(path="folder"), data=tmp_path)


def test_ranks_share_the_files_by_size_and_leave_none_out(tmp_path):
    sizes = [900, 100, 500, 300, 400]
    for number, size in enumerate(sizes):
        (tmp_path / f"{number}.jsonl").write_bytes(packed([{"text": "x" * size}]))
    hands = [read(tmp_path, source(), rank=rank, of=2) for rank in range(2)]
    assert [[document.id[4] for document in hand] for hand in hands] == [["0", "3"], ["1", "2", "4"]]
    assert dealt([5, 5], num=4) == [[0], [1], [], []]


def test_what_the_project_makes_itself_is_made_by_the_ranks_in_turn(tmp_path):
    made = Source(name="made", made=2, domain="market")

    def make(of, rank, world_size):
        return (Document(text=f"{of.name} {n}", id=str(n)) for n in range(rank, of.made, world_size))

    assert [document.text for document in read(tmp_path, made, make=make)] == ["made 0", "made 1"]
    for rank in (0, 1):
        assert [document.text for document in read(tmp_path, made, make=make, rank=rank, of=2)] == [
            f"made {rank}"
        ]
    assert read(tmp_path, made) == []


def test_it_is_the_first_step_of_an_executor(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(packed([{"text": f"файл {name}"}]))
    reader = pickle.loads(pickle.dumps(SourceReader([source()], data=tmp_path)))
    steps = [reader, JsonlWriter(str(tmp_path / "done"), output_filename="${rank}.jsonl", compression=None)]
    LocalPipelineExecutor(steps, tasks=2, workers=1, logging_dir=str(tmp_path / "logs")).run()
    texts = [json.loads((tmp_path / "done" / f"0000{rank}.jsonl").read_text())["text"] for rank in (0, 1)]
    assert texts == ["файл a", "файл b"]


def test_an_error_comes_whole_out_of_a_worker(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"broken\n")
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, source())
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, TrainingError)
    assert str(again) == str(caught.value)
