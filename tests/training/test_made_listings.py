"""Listings look like sellers' and are the same for the same seed; what they say of themselves is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.prompts import render
from training.made.choosing import speaks
from training.made.listing import Listing
from training.made.making import make_listings
from training.made.sellers import mistype

COMMON = """
[param.colour]
labels = ["Цвет"]
values = ["синий", "белый"]
kind = "adjective"
clauses = ["цвет — {value}"]
[param.condition]
labels = ["Состояние"]
values = ["новое", "б/у"]
clauses = ["состояние — {value}"]
"""
BICYCLES = """
section = ["Велосипеды", "Спорт и отдых, велосипеды"]
[[thing]]
name = "горный велосипед"
head = "велосипед"
aliases = ["велик"]
price = [4000, 60000]
params = ["wheels", "speeds", "colour", "condition"]
defects = ["царапины на раме"]
kit = ["насос", "фонарь"]
[thing.models]
Stels = ["Navigator 500 MD", "Pilot 410"]
[param.wheels]
labels = ["Диаметр колёс"]
values = ['26"', '29"']
clauses = ["диаметр колёс — {value}"]
after = ["с колёсами {value}"]
told = ["колёса {value}"]
[param.speeds]
labels = ["Количество скоростей"]
range = [1, 27, 1]
unit = "скорость"
clauses = ["всего {value}"]
[brands]
spoken = { Stels = ["Стелс", "стелс"] }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    (path / "common.toml").write_text(COMMON, "utf-8")
    (path / "bicycles.toml").write_text(BICYCLES, "utf-8")
    return path


@pytest.fixture(scope="module")
def made(folder: Path) -> list[Listing]:
    return list(make_listings(1500, name="bicycles", seed=5, folder=folder))


def test_same_seed_gives_the_same_listings(folder: Path) -> None:
    first, again = (list(make_listings(60, name="a", seed=1, folder=folder)) for _ in range(2))
    assert first == again
    assert first != list(make_listings(60, name="a", seed=2, folder=folder))


def test_all_forms_of_cards_are_made(made: list[Listing]) -> None:
    assert {"sale", "wanted", "free", "rent", "service"} <= {one.deal for one in made}
    assert any(label for one in made for label, _ in one.params)
    assert any(not label for one in made for label, _ in one.params)
    assert any(not one.params for one in made)
    assert any(one.title.isupper() for one in made)
    assert any(one.title.islower() for one in made)
    assert any("стелс" in one.title.lower() for one in made)
    assert any(one.thing != "горный велосипед" for one in made)


def test_every_fact_stands_in_title_or_card(made: list[Listing]) -> None:
    for one in made:
        values = [value for _, value in one.params]
        for fact in one.facts:
            assert fact.in_title or fact.shown in values, one
            assert not fact.in_card or fact.label or speaks(fact) or one.plans or fact.key == "class", one


def test_model_is_copied_from_title_or_card(made: list[Listing]) -> None:
    for one in made:
        typed = " ".join([one.title, *(value for _, value in one.params)])
        letters = "".join(filter(str.isalnum, typed)).lower().replace("ё", "е")
        for name in (one.brand_typed, one.model_typed):
            assert "".join(filter(str.isalnum, name)).lower().replace("ё", "е") in letters, one


def test_price_follows_the_condition(made: list[Listing]) -> None:
    def mean(state: str) -> float:
        prices = [
            one.price
            for one in made
            if one.price and one.thing == "горный велосипед" and any(f.value == state for f in one.facts)
        ]
        return sum(prices) / len(prices)

    assert mean("новое") > 1.3 * mean("б/у")


def test_free_goods_have_no_price(made: list[Listing]) -> None:
    assert not any(one.price_text for one in made if one.deal == "free")


def test_fields_are_those_of_the_prompt(made: list[Listing]) -> None:
    for one in made[:50]:
        turns = render("describe", "v2", one.fields("neutral"))
        assert " ".join(one.title.split()) in " ".join(turns[-1]["content"].split())


def test_one_error_of_typing_changes_one_word() -> None:
    import random

    words = mistype("детский велосипед", random.Random(3)).split()
    assert sum(a != b for a, b in zip(words, ["детский", "велосипед"], strict=True)) <= 1
