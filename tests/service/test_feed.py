"""Rows as feeds write them: ids, numbers, gaps and parameters of every shape become one request."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bulk.feed import COLUMNS, Listing, read_listing
from service.bulk.rows import RowFault, read_rows


def listing(**row: Any) -> Listing:
    found = read_listing(row)
    assert isinstance(found, Listing)
    return found


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [
        (7, 7),
        ("007", "007"),
        (7.0, 7),
        (None, None),
        (float("nan"), None),
        (Decimal(7), 7),
        (Decimal(10**20), "1" + 20 * "0"),
        (b"a7", "a7"),
    ],
)
def test_ids_stay_what_they_are(given_id: Any, kept: Any) -> None:
    found = listing(item_id=given_id, seller_id=given_id)
    assert found.passed["item_id"] == found.passed["seller_id"] == kept
    assert type(found.passed["item_id"]) is type(kept)


@pytest.mark.parametrize("bad", [True, [1], {"id": 1}, 1.5, 1e20, float("inf"), datetime.date(2024, 1, 1)])
@pytest.mark.parametrize("name", ["item_id", "seller_id"])
def test_what_is_no_id_is_a_fault(name: str, bad: Any) -> None:
    fault = read_listing({name: bad, "title": "Стол"})
    assert isinstance(fault, RowFault)
    assert fault.code == f"bad_{name}"


def test_other_columns_are_ignored_and_gaps_left_out() -> None:
    found = listing(title="Стол", description=None, category=float("nan"), price=5, id=3)
    assert found.fields == {"title": "Стол", "params": {}}
    assert found.passed == {"item_id": None, "seller_id": None, "category": None, "title": "Стол"}


def test_a_number_in_place_of_a_text_is_the_text() -> None:
    fields = listing(title=1110, category=2.0, description=15.6).fields
    assert (fields["title"], fields["category"], fields["description"]) == ("1110", "2", "15.6")


@pytest.mark.parametrize(
    ("params", "read"),
    [
        (None, {}),
        ({}, {}),
        ({"Цвет": "синий", "Год": 2019, "Вес": 15.0, "Торг": True, "Размер": None, "Пусто": " "},
         {"Цвет": "синий", "Год": "2019", "Вес": "15", "Торг": "да"}),
        ([{"name": "Цвет", "value": "синий"}, {"name": "Цвет", "value": "белый"}], {"Цвет": "синий, белый"}),
        ([("Цвет", "синий"), ["Год", 2019]], {"Цвет": "синий", "Год": "2019"}),
        (["Постельные принадлежности", None, "Новое"],
         {"Параметр 1": "Постельные принадлежности", "Параметр 3": "Новое"}),
        ({"": "синий"}, {"Параметр 1": "синий"}),
        ({"Размеры": ["42", "44"], "Экран": {"дюймов": 6.1, "тип": "OLED"}},
         {"Размеры": "42, 44", "Экран": "дюймов: 6.1, тип: OLED"}),
        ('{"Цвет": "синий"}', {"Цвет": "синий"}),
        ('[{"name": "Цвет", "value": "синий"}]', {"Цвет": "синий"}),
        ("синий", {"Параметр 1": "синий"}),
        ("2019", {"Параметр 1": "2019"}),
        ("", {}),
    ],
)  # fmt: skip
def test_parameters_of_every_shape(params: Any, read: dict[str, str]) -> None:
    assert listing(title="Стол", params=params).fields["params"] == read


PARAMS = {"Цвет": "синий", "Размер": "52"}
SHAPES = {
    "map": pa.array([list(PARAMS.items())], pa.map_(pa.string(), pa.string())),
    "struct": pa.array([{**PARAMS, "Чужое": None}]),
    "list of structs": pa.array([[{"name": name, "value": value} for name, value in PARAMS.items()]]),
    "JSON": pa.array([orjson.dumps(PARAMS).decode()]),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_parquet_column_of_any_shape_gives_the_same_request(tmp_path: Path, shape: pa.Array) -> None:
    path = tmp_path / "in.parquet"
    columns = {"item_id": pa.array([5.0]), "title": pa.array(["Куртка"]).dictionary_encode(), "params": shape}
    pq.write_table(pa.table(columns), path)
    ((_, row),) = read_rows(path, columns=COLUMNS)
    assert isinstance(row, dict)
    found = listing(**row)
    assert found.fields == {"title": "Куртка", "params": PARAMS}
    assert found.passed["item_id"] == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(COLUMNS), JSON))
def test_no_row_is_too_odd(row: dict[str, Any]) -> None:
    found = read_listing(row)
    if isinstance(found, Listing):
        assert all(isinstance(text, str) for text in found.fields["params"].values())
        orjson.dumps({name: found.passed[name] for name in ("item_id", "seller_id")})
