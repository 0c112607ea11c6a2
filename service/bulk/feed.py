"""A row of somebody's feed as a listing: what exports write in many ways becomes one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from service.bulk.rows import Row, RowFault

TEXTS: Final = ("title", "description", "category")
COLUMNS: Final = ("item_id", "seller_id", *TEXTS, "params")
_NAME_KEYS, _VALUE_KEYS = ("name", "key", "title"), ("value", "val")
_MAX_EXACT: Final = 2**53  # beyond, a number that came as a float has lost digits
_MAX_JSON: Final = 2**63  # beyond, readers of JSON lose digits
_UNNAMED: Final = "Параметр {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What goes on to the output as it came, and the fields of the request."""

    passed: dict[str, Any]
    fields: dict[str, Any]


def read_listing(row: Row) -> Listing | RowFault:
    """Take the known columns of a row; others are ignored, empty ones are left out of the request.

    Ids stay numbers or texts. A number where a text belongs becomes the text. Parameters may be an object, a
    list of pairs, of {name, value} or of bare values, or any of these as JSON in a text. What cannot be a
    text at all is left to the request's own validation, which says what is wrong.
    """
    ids = {}
    for name in ("item_id", "seller_id"):
        try:
            ids[name] = _id(row.get(name))
        except ValueError as error:
            return RowFault(f"bad_{name}", f"{name} {error}")
    texts = {name: _text(row.get(name)) for name in TEXTS}
    fields = {name: text for name, text in texts.items() if text is not None}
    fields["params"] = _params(row.get("params"))
    return Listing(passed={**ids, "category": texts["category"], "title": texts["title"]}, fields=fields)


def id_of(row: Row) -> int | str | None:
    """Return a row's item_id if it is one, to name a row that is otherwise at fault."""
    try:
        return _id(row.get("item_id"))
    except ValueError:
        return None


def _id(value: Any) -> int | str | None:
    value = _scalar(value)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < _MAX_JSON else str(value)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _MAX_EXACT:
            return int(value)
        raise ValueError("is a number that has lost digits: write it as a text")
    raise ValueError("must be a text or a whole number")


def _scalar(value: Any) -> Any:
    """Undo what columns of a table do to single values: NaN for nothing, bytes for text, decimals."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _text(value: Any) -> Any:
    value = _scalar(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT:
        return str(int(value))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _params(value: Any) -> Any:
    value = _scalar(value)
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = [value]
    if value is None:
        return {}
    if not isinstance(value, Mapping | list | tuple):
        value = [value]
    params: dict[str, str] = {}
    for name, raw in _pairs(value.items() if isinstance(value, Mapping) else value):
        if (text := _told(raw)).strip():
            params[name] = f"{params[name]}, {text}" if name in params else text
    return params


def _pairs(items: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of a list's items; bare values are numbered."""
    for number, item in enumerate(items, 1):
        if isinstance(item, Mapping):
            name = next((item[key] for key in _NAME_KEYS if item.get(key)), None)
            value = next((item[key] for key in _VALUE_KEYS if key in item), None)
        elif isinstance(item, list | tuple) and len(item) == 2:
            name, value = item
        else:
            name, value = None, item
        yield str(_text(name) or _UNNAMED.format(number)), value


def _told(value: Any) -> str:
    """Return a parameter's value in words."""
    value = _scalar(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {text}" for name, raw in value.items() if (text := _told(raw)))
    if isinstance(value, list | tuple):
        return ", ".join(text for item in value if (text := _told(item)))
    return str(_text(value))
