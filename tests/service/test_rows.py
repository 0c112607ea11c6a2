"""Files of rows: whatever stands in one line is that line's own affair."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.bulk.feed import COLUMNS
from service.bulk.rows import MAX_ROW_BYTES, InputError, RowFault, check_input, count_rows, read_rows

ROWS: list[dict[str, Any]] = [
    {"item_id": "a", "title": "iPhone 13 Pro", "params": {"Цвет": "синий"}},
    {"item_id": 2, "title": "Стол\u2028письменный\u0085дубовый", "category": None},
    {"item_id": 3, "title": 'Комод "Мальта"', "description": "с\r\nновой строки"},
]


def jsonl(*rows: object) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def read(path: Path, *, start: int = 0) -> list[Any]:
    numbered = list(read_rows(path, columns=COLUMNS, start=start))
    assert [number for number, _ in numbered] == list(range(start, start + len(numbered)))
    return [row for _, row in numbered]


def codes(path: Path) -> list[str]:
    return [row.code if isinstance(row, RowFault) else "ok" for row in read(path)]


def total(path: Path) -> int:
    *_, last = count_rows(path)
    return last


def pack_zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(data)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("in.jsonl", bytes),
        ("in.ndjson", bytes),
        ("in.jsonl.gz", gzip.compress),
        ("in.jsonl.zst", pack_zstd),
        ("packed-all-the-same.jsonl", gzip.compress),
        ("IN.JSONL", bytes),
    ],
)
def test_lines_are_rows_however_they_are_packed(tmp_path: Path, name: str, pack: Any) -> None:
    path = tmp_path / name
    path.write_bytes(pack(jsonl(*ROWS)))
    assert read(path) == ROWS
    assert read(path, start=2) == ROWS[2:]
    assert read(path, start=9) == []
    assert total(path) == 3


@pytest.mark.parametrize(
    ("content", "num"), [(b"", 0), (b"{}", 1), (b"{}\n", 1), (b"{}\n{}", 2), (b"{}\r\n{}\r\n", 2)]
)
def test_the_last_line_counts_with_and_without_its_end(tmp_path: Path, content: bytes, num: int) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    assert read(path) == [{}] * num
    assert total(path) == num


BAD = {
    b"": "bad_json",
    b"   ": "bad_json",
    b'{"title": "x"': "bad_json",
    b'{"title": NaN}': "bad_json",
    b'{"title": "\\ud83d"}': "bad_json",
    b'{"title": "a\0b"}': "bad_json",
    b'\xef\xbb\xbf{"title": "x"}': "bad_json",
    b"[" * 5000: "bad_json",
    b'{"title": "\xff\xfe"}': "bad_utf8",
    b'["title"]': "not_an_object",
    b"null": "not_an_object",
    b'"' + b"x" * 2 * MAX_ROW_BYTES + b'"': "row_too_long",
}


def test_a_bad_line_is_a_fault_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{}\n" + b"".join(bad + b"\n{}\n" for bad in BAD))
    assert codes(path) == ["ok", *(code for expected in BAD.values() for code in (expected, "ok"))]
    assert total(path) == 1 + 2 * len(BAD)
    assert all(row.reason and "\n" not in row.reason for row in read(path) if isinstance(row, RowFault))


def test_a_line_may_be_as_long_as_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    longest = b'{"t":"' + b"x" * (MAX_ROW_BYTES - 8) + b'"}'
    path.write_bytes(longest + b"\n" + longest[:-2] + b'x"}\n{}\n' + longest[:-2] + b'x"}')
    assert codes(path) == ["ok", "row_too_long", "ok", "row_too_long"]


def test_a_byte_order_mark_before_the_first_row_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + jsonl(*ROWS))
    assert read(path) == ROWS


def test_a_huge_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b"\n{}\n")
    tracemalloc.start()
    assert codes(path) == ["row_too_long", "ok"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def parquet(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


def test_parquet_gives_the_rows_of_jsonl(tmp_path: Path) -> None:
    rows = [
        {"item_id": str(number), "title": f"Стол {number}", "photo": b"\xff" * 99} for number in range(1000)
    ]
    path = parquet(tmp_path / "in.parquet", pa.Table.from_pylist(rows), row_group_size=300)
    wanted = [{"item_id": row["item_id"], "title": row["title"]} for row in rows]
    assert total(path) == 1000
    for start in (0, 1, 299, 300, 301, 999, 1000, 2000):
        assert read(path, start=start) == wanted[start:]


def test_a_value_of_parquet_that_is_not_utf8_spoils_its_own_row(tmp_path: Path) -> None:
    titles = pa.array([b"one", b"\xff\xfe", b"three"]).view(pa.binary())
    table = pa.table({"title": pa.Array.from_buffers(pa.string(), 3, titles.buffers())})
    assert codes(parquet(tmp_path / "in.parquet", table)) == ["ok", "bad_utf8", "ok"]


def test_a_row_of_parquet_may_be_too_long(tmp_path: Path) -> None:
    table = pa.table({"title": ["x", "y" * (MAX_ROW_BYTES + 1), "z"]})
    assert codes(parquet(tmp_path / "in.parquet", table)) == ["ok", "row_too_long", "ok"]


def test_memory_does_not_grow_with_a_row_group(tmp_path: Path) -> None:
    table = pa.table({"title": [f"{number:>500}" for number in range(100_000)]})
    path = parquet(tmp_path / "in.parquet", table, compression="none", use_dictionary=False)
    del table
    before = pa.default_memory_pool().bytes_allocated()
    highest = max(pa.default_memory_pool().bytes_allocated() for _ in read_rows(path, columns=COLUMNS))
    assert highest - before < 12 * 2**20  # the column's 50 MB are one row group


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("in.csv", b"title\nx\n", "unknown kind of file"),
        ("in", b"{}\n", "unknown kind of file"),
        ("in.json", b"[{}]", "unknown kind of file"),
        ("in.parquet", b"{}\n", "cannot be read from row 0"),
        ("in.parquet", b"", "cannot be read from row 0"),
        ("in.jsonl.gz", gzip.compress(jsonl(*ROWS))[:-12], "cannot be read from row"),
    ],
    ids=["csv", "nameless", "json", "no parquet", "empty parquet", "torn gz"],
)
def test_a_file_that_cannot_be_read_says_so_in_one_line(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        total(path)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("missing.jsonl", "folder.jsonl"):
        with pytest.raises(InputError, match=name):
            check_input(tmp_path / name)


def test_parquet_without_a_known_column_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in.parquet", pa.table({"name": ["x"]}))
    with pytest.raises(InputError, match="title"):
        read(path)


def test_the_rows_before_a_break_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    data = gzip.compress(jsonl(*({"item_id": number, "title": "Стол"} for number in range(50_000))))
    path.write_bytes(data[: len(data) // 2])
    rows = []
    with pytest.raises(InputError) as caught:
        for number, row in read_rows(path, columns=COLUMNS):
            rows.append((number, row))
    assert len(rows) > 10_000
    assert f"from row {len(rows)} on" in str(caught.value)
