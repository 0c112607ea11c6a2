"""What of a listing may name its brand or model: found by its look, always a verbatim piece of the text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.candidates import MODELS_MAX, Candidates, Place, candidates


def found(title: str = "", *, description: str = "", **params: str) -> Candidates:
    return candidates(title=title, params=params, description=description)


def text_at(place: Place, *, title: str, description: str, params: dict[str, str]) -> str:
    texts = {"title": title, "description": description, "params": params.get(place.param or "", "")}
    return texts[place.field][place.start : place.end]


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("Смартфон Apple iPhone 13 Pro Max 256GB синий", "iPhone 13 Pro Max"),
        ("Elna 3210", "3210"),
        ("Швейная машина Janome DC 3050", "DC 3050"),
        ("Комод «Мальта» 4 ящика", "Мальта"),
        ('Диван "Бостон" угловой', "Бостон"),
        ("Кровать Аскона Марта двуспальная", "Аскона Марта"),
        ("Велосипед Stels Navigator-500 MD", "Stels Navigator-500 MD"),
        ("Janome Sewist 521 / SE 518", "Sewist 521 / SE 518"),
        ("SSD Samsung 970 EVO Plus 1TB", "970 EVO Plus 1TB"),
        ("Samsung S10+", "S10+"),
        ("продам айфон 11", "айфон 11"),
        ("продам айфон 13 про макс 256гб", "айфон 13 про макс"),
        ("Кроссовки Nike Air р.42", "Nike Air"),
        ("SIG Sauer P320 4.5 мм пистолет P320-177-BLK", "P320-177-BLK"),
    ],
)
def test_a_models_name_is_among_the_candidates(title: str, model: str) -> None:
    assert model in found(title).models


@pytest.mark.parametrize(
    "title",
    [
        "Платье летнее в цветочек, размер 44",
        "Сапоги осенние",
        "Кровать 160х200 см",
        "Холодильник 180 см, 2 камеры, 300 л",
        "Футболка с принтом «San Francisco»",
        "Ноутбук 15.6 дюймов, 8 гб, 256 гб",
        "2-к квартира, 54 м², 5/9 эт.",
        "ПРОДАМ ДИВАН СРОЧНО",
        "",
        "🔥🔥🔥",
        "...",
    ],
)
def test_a_listing_that_names_nothing_has_no_candidates(title: str) -> None:
    assert not found(title).models


@pytest.mark.parametrize(
    "title",
    [
        "Чехол для iPhone 13",
        "Стекло на Samsung Galaxy A51",
        "Ремешок под Garmin Fenix 8",
        "Аккумулятор, подходит для Makita DDF453",
        "Чехол для смартфона Xiaomi",
        "Обмен на iPhone 12",
    ],
)
def test_what_a_thing_fits_is_not_what_it_is(title: str) -> None:
    assert not {
        name
        for name in found(title).models
        if name.startswith(("iPhone", "Samsung", "Garmin", "Makita", "Xiaomi"))
    }


def test_a_variant_never_stands_without_its_model() -> None:
    models = found("iPhone 13 Pro Max").models
    assert "iPhone 13 Pro Max" in models
    assert not {"Pro", "Max", "Pro Max"} & models.keys()


def test_a_name_goes_on_to_its_number() -> None:
    models = found("Куртка Blaser 119018-113-675 L").models
    assert "Blaser 119018-113-675" in models
    assert not {"Blaser", "Blaser 119018-113-675 L"} & models.keys()
    assert "Rio" in found("KIA Rio 2012").models


def test_a_descriptions_names_count_only_where_nothing_else_names_anything() -> None:
    told = "Подойдёт к ружью Fabarm XLR5, отправлю из Саратова. Есть и Garmin Fenix 8."
    assert "Fabarm XLR5" not in found("Подсумок ML401", description=told).models
    models = found("Подсумок кожаный", description="Фирмы Maremmano ML401, пишите. Живу в Саратове.").models
    assert "Maremmano ML401" in models
    assert "Саратове" not in models


def test_parameters_that_say_brand_and_model_are_taken_whole() -> None:
    both = found("Телефон", Марка="Honor", Модель="Икс 9 б")
    assert both.models["Икс 9 б"] == [Place("params", 0, 7, "Модель")]
    assert both.brands["Honor"][0] == Place("params", 0, 5, "Марка")


def test_the_best_place_is_the_title() -> None:
    places = found("Honor X9b", description="Продаю Honor X9b, новый").models["Honor X9b"]
    assert [place.field for place in places] == ["title", "description"]


TEXTS = st.text(
    alphabet=st.sampled_from("iPhone13 ПроМакс«»\"'/-+,. \u00a0\u200b\u202e\0😀ё12a"), max_size=60
)


@settings(deadline=None)
@given(title=TEXTS, description=TEXTS, value=TEXTS)
def test_every_candidate_stands_verbatim_where_it_says(title: str, description: str, value: str) -> None:
    params = {"Модель": value}
    both = candidates(title=title, params=params, description=description)
    for table in (both.models, both.brands):
        for shown, places in table.items():
            for place in places:
                text = text_at(place, title=title, description=description, params=params)
                assert text.strip() == text != ""
                assert "".join(text.split()).replace("\u200b", "").replace("\u202e", "").replace(
                    "\0", ""
                ) == "".join(shown.split())


@settings(deadline=None)  # the first example reads the lexicons
@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    candidates(title=text, params={text: text}, description=text)


def test_a_long_list_of_names_is_bounded_in_number_and_time() -> None:
    begun = time.process_time()
    assert (
        len(found(" ".join(f"X{n}a" for n in range(100)), description="iPhone 13 " * 2000).models)
        <= MODELS_MAX
    )
    assert time.process_time() - begun < 1.0
