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
        ("Мотокоса Ветерок 25М", "Ветерок 25М"),
        ("Прицел 8П новый", "8П"),
        ("ИЖ 49", "ИЖ 49"),
        ("Ружьё ИЖ-49", "ИЖ-49"),
        ("МТЗ 50 трактор", "МТЗ 50"),
        ("Бойлер Polaris FD 70V", "Polaris FD 70V"),
        ("Велосипед Stels Miss 5000 V", "Stels Miss 5000 V"),
        ("Камера наружная 4113W", "4113W"),
        ("Смартфон Redmi Note 9 5G", "Redmi Note 9 5G"),
        ("Куртка W NORTH SHELL", "W NORTH SHELL"),
        ("Mercedes ML 320", "Mercedes ML 320"),
        ("Дрель Black & Decker KR604", "Black & Decker KR604"),
        ("Ботинки Dr. Martens 1461", "Dr. Martens 1461"),
        ("Роутер Keenetic DUO-4410 air с антенной", "Keenetic DUO-4410 air"),
        ("netgear dgn-2200m mini wireless router", "dgn-2200m"),
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
        "ПРОДАМ ДОМ 120 М2",
        "Аккумулятор 60Ah",
        "Блок питания 12V, 2.4 GHz",
        "Памперсы 100 ml",
        "Кабель 15М",
        "2К квартира",
        "Платье 42-44 S/M",
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


@pytest.mark.parametrize(
    ("title", "own"),
    [
        ("Аккумулятор для iPhone 7 Nohon", {"Nohon"}),
        ("Аккумулятор для айфон 7 Nohon", {"Nohon"}),
        ("АКБ для Xiaomi Redmi Note 5 BN45", {"BN45"}),
        ("Картридж для HP LaserJet 1200 C7115A", {"C7115A"}),
        ("Игры для Xbox 360", set()),
        ("Крышка для Meizu M5 pro", set()),
        ("Двигатель от ВАЗ 2105", set()),
        ("Подсумок для ружья Maremmano BL777", {"BL777"}),
    ],
)
def test_a_spare_part_is_named_behind_its_device(title: str, own: set[str]) -> None:
    assert set(found(title).models) == own


@pytest.mark.parametrize(
    ("title", "brand"),
    [
        ("Роутер D-Link DIR-615", "D-Link"),
        ("Рюкзак 5.11 Rush 12", "5.11"),
        ("Антивирус Dr.Web на год", "Dr.Web"),
        ("Коммутатор TP-Link SG105", "TP-Link"),
        ("Респиратор 3M 8102", "3M"),
        ("Респиратор 3М 8102", "3М"),
        ("Кеды New Balance 373", "New Balance"),
        ("Джинсы Tommy Jeans", "Tommy Jeans"),
        ("Тренч Banana & Fitch", "Banana & Fitch"),
        ("Ботинки Dr. Martens 1461", "Dr. Martens"),
        ("Платье от Zara", "Zara"),
    ],
)
def test_a_brand_is_offered_whole(title: str, brand: str) -> None:
    assert brand in found(title).brands


def test_a_letter_or_a_variant_alone_is_no_name() -> None:
    both = found("Ноутбук C, кабель mini, джинсы Slim")
    assert not {"C", "mini", "Slim"} & (both.models.keys() | both.brands.keys())


def test_two_products_joined_by_an_ampersand_stay_two() -> None:
    assert "Galaxy A51 & A52" not in found("Galaxy A51 & A52").models


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


@pytest.mark.parametrize("label", ["Фирма", "Фирма-изготовитель", "Изготовитель", "Производитель", "Бренд"])
def test_labels_of_a_maker(label: str) -> None:
    assert "Ромашка" in candidates(title="Стол", params={label: "Ромашка"}, description="").brands


@pytest.mark.parametrize("label", ["Страна-изготовитель", "Страна производитель", "Фирменная упаковка"])
def test_the_land_of_the_maker_is_no_brand(label: str) -> None:
    assert not candidates(title="Стол", params={label: "Китай"}, description="").brands


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
