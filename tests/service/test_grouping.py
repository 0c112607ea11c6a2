"""Listings of one seller and category with one model are a group; what is in none is counted by reason."""

from __future__ import annotations

from typing import Any

import pytest

from service.bulk.grouping import Group, Grouping, told


def row(item_id: Any, key: str | None = "iphone 13", **changes: Any) -> dict[str, Any]:
    result = {
        "model": None if key is None else key.title(),
        "brand": None if key is None else "Apple",
        "model_key": key,
        "confidence": changes.pop("confidence", 0.9),
        "evidence": changes.pop("evidence", []),
        "reason": changes.pop("reason", None),
        **changes.pop("result", {}),
    }
    listing = {
        "row": 0,
        "item_id": item_id,
        "seller_id": "s",
        "category": "Телефоны",
        "title": f"Лот {item_id}",
    }
    return {**listing, **changes, "result": result}


def grouped(*rows: dict[str, Any], min_size: int = 2, **options: Any) -> tuple[list[Group], dict[str, int]]:
    with Grouping(**options) as grouping:
        for one in rows:
            grouping.add(one)
        groups = list(grouping.groups(min_size=min_size))
        apart = {reason: count for reason, count in grouping.apart.items() if count}
        assert sum(len(group.members) for group in groups) + sum(apart.values()) == len(rows)
    return groups, apart


def ids(group: Group) -> list[Any]:
    return [member.item_id for member in group.members]


def test_seller_category_and_key_must_all_be_equal() -> None:
    groups, apart = grouped(
        row(1), row(2), row(3, "iphone 13 pro"), row(4, seller_id="t"), row(5, category="Чехлы"), row(6)
    )
    assert [ids(group) for group in groups] == [[1, 2, 6]]
    assert apart == {"fewer than 2 of that model": 3}


def test_larger_groups_come_first_and_equal_ones_as_they_came() -> None:
    groups, _ = grouped(
        row(1, "b"), row(2, "b"), row(3, "a"), row(4, "a"), row(5, "c"), row(6, "c"), row(7, "c")
    )
    assert [group.model_key for group in groups] == ["c", "b", "a"]


def test_a_listing_without_a_seller_is_in_no_group_unless_sellers_do_not_matter() -> None:
    rows = row(1, seller_id=None), row(2, seller_id=None), row(3, seller_id=""), row(4, seller_id="t"), row(5)
    groups, apart = grouped(*rows)
    assert groups == []
    assert apart == {"no seller_id": 3, "fewer than 2 of that model": 2}
    (group,), apart = grouped(*rows, any_seller=True)
    assert ids(group) == [1, 2, 3, 4, 5]
    assert group.seller_id is None
    assert apart == {}


def test_a_listing_that_comes_twice_is_no_group() -> None:
    groups, apart = grouped(row(1), row(1), row("2", "x"), row(2, "x"))
    assert groups == []
    assert apart == {"the same item_id again": 2, "fewer than 2 of that model": 2}


def test_listings_without_an_id_are_each_their_own() -> None:
    (group,), _ = grouped(row(None), row(None))
    assert ids(group) == [None, None]


def test_no_model_and_doubtful_models_are_counted_by_reason() -> None:
    groups, apart = grouped(
        row(1, None, reason="not_stated"),
        row(2, None, reason="several_products"),
        row(3, None, reason="not_stated"),
        row(4, confidence=0.79),
        row(5, confidence=0.8),
        row(6, confidence=1.0),
        min_confidence=0.8,
    )
    assert [ids(group) for group in groups] == [[5, 6]]
    assert apart == {"no model: not_stated": 2, "no model: several_products": 1, "confidence below 0.8": 1}


def test_a_group_bears_the_name_that_most_of_its_listings_use() -> None:
    (group,), _ = grouped(
        row(1, result={"model": "айфон 13", "brand": None}),
        row(2, result={"model": "iPhone 13"}),
        row(3, result={"model": "iPhone 13", "brand": None}),
    )
    assert (group.brand, group.model) == ("Apple", "iPhone 13")
    assert group.document() == {
        "seller_id": "s",
        "category": "Телефоны",
        "model_key": "iphone 13",
        "model": "iPhone 13",
        "brand": "Apple",
        "items": [{"item_id": n, "title": f"Лот {n}", "confidence": 0.9} for n in (1, 2, 3)],
    }


def test_the_least_size_is_the_callers() -> None:
    groups, apart = grouped(row(1), row(2), row(3, "x"), min_size=3)
    assert groups == []
    assert apart == {"fewer than 3 of that model": 3}
    assert len(grouped(row(1), row(2), row(3, "x"), min_size=1)[0]) == 2


def place(text: str, title: str) -> dict[str, Any]:
    start = title.index(text)
    return {"field": "title", "start": start, "end": start + len(text), "text": text, "param": None}


def lines(*rows: dict[str, Any], max_members: int = 20) -> list[str]:
    (group,), _ = grouped(*rows, min_size=1)
    return list(told(group, max_members=max_members))


def test_the_words_that_made_the_key_are_marked() -> None:
    title = "Смартфон 📱 iPhone 13, 128 ГБ, Pro"
    evidence = [place("iPhone 13", title), place("Pro", title)]
    elsewhere = [
        {"field": "params", "start": 0, "end": 9, "text": "iPhone 13", "param": "Модель"},
        {"field": "description", "start": 5, "end": 8, "text": "Pro", "param": None},
    ]
    assert lines(
        row(7, title=title, evidence=evidence), row(12, title="Телефон", evidence=elsewhere, confidence=1.0)
    ) == [
        "2 × Apple Iphone 13  (seller s, Телефоны, key iphone 13)",
        "   7  0.90  Смартфон 📱 [iPhone 13], 128 ГБ, [Pro]",
        "  12  1.00  Телефон  (Модель: iPhone 13; description: Pro)",
    ]


@pytest.mark.parametrize("nasty", ["\x1b[2J", "\r\n", "\u202e", "\0", "\u2028"])
def test_a_title_does_not_reach_the_terminals_controls(nasty: str) -> None:
    shown = "\n".join(lines(row(f"1{nasty}", title=f"Стол {nasty}дубовый", category=f"Дом{nasty}")))
    assert shown.count("\n") == 1
    assert not set(nasty) - {"[", "2", "J", "\n"} & set(shown)


def test_a_long_group_is_cut_and_says_so() -> None:
    shown = lines(*(row(number) for number in range(30)), max_members=3)
    assert len(shown) == 5
    assert shown[-1].endswith("and 27 more")
