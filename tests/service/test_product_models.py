"""One model, one key, in whatever way sellers write it; and never one key for two models."""

import os
import subprocess
import sys
import time
import tomllib
import unicodedata
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import model_words
from service.product_models import NORMALIZER_VERSION, canonical_brand, implied_brand, model_key, same_model
from tests.bench.keys import judge, splits

LISTS = tomllib.loads(resources.files("service").joinpath("product_models.toml").read_text(encoding="utf-8"))
# What the rules reached; a change may not fall below. The pairs were written before the rules, by the same
# hand. The rules were tuned on dev; test's mistakes were read once, at the end (recall 0.957 until then).
FLOORS = {"dev": (1.0, 0.98), "test": (1.0, 0.94)}

NAMES = [
    "iPhone 13 Pro Max",
    "Samsung Galaxy S21 Ultra",
    "Xiaomi Redmi Note 9 Pro",
    "Poco X3 Pro",
    "Huawei P30 Lite",
    "Honor 9X",
    "MacBook Air 13 M1",
    "Lenovo ThinkPad T480s",
    "Sony WH-1000XM4",
    "Canon EOS 5D Mark IV",
    "Nikon D750",
    "GTX 1660 Ti",
    "Ryzen 5 3600X",
    "Makita DDF453RFE",
    "Bosch GBH 2-26 DRE",
    "Stels Navigator 500 MD",
    "Casio G-Shock GA-2100",
    "Garmin Fenix 8 Pro",
    "Janome Memory Craft 6600P",
    "SIG Sauer P320-177-M17-CT",
    "Nike Travis Scott Cactus Jack",
    "New Balance 990v5",
    "Fender Stratocaster",
    "Bugaboo Cameleon 3",
    "LG 55UK6300",
    "Samsung UE43TU7097U",
    "Kia Rio 4",
    "StarLine A93",
]
CRITICAL = ["Pro", "Max", "Mini", "Plus", "S", "Lite", "Ultra", "SE", "FE", "Air", "Neo", "XL", "Ti", "Super"]
TWINS = dict(zip("aceopxyAEOPCTXHKMB", "асеорхуАЕОРСТХНКМВ", strict=True))

names = st.sampled_from(NAMES)
SELLERS_WORDS = """
iPhone айфон Galaxy самсунг Redmi Note 9 13 21 s S x X5 pro про max макс plus + mini с а в the black новый
128 гб 64gb 8/256 Мальта комод Forward «Вега» WH-1000XM4 ga 100 II IV i se 2020 ssd gt ps 4 slim oled boot
ct 4s 5g note10 kingston evo nike travis scott i5-9400F rx 580 - / 2-го поколения сова coba ® Sony Asus
"""
texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from(SELLERS_WORDS.split()), max_size=8).map(" ".join),
    st.text(alphabet="абсорхexi123 -+sgbтб№é", max_size=20),
)
brands = st.none() | st.sampled_from(
    ["Apple", "iPhone", "Redmi", "Samsng", "SIG Sauer", "Husqvarna Viking", "Vaposteam", "Новый Стиль", "V7"]
)
categories = st.sampled_from([None, "Телефоны", "Ноутбуки", "Автомобили", "Карты памяти"])


@pytest.mark.parametrize("split", FLOORS)
def test_pairs_of_sellers_names_are_told_apart_and_together(split: str) -> None:
    pairs = splits()[split]
    precision, recall, wrong = judge(pairs)
    print(f"{split}: {len(pairs)} pairs, precision {precision:.3f}, recall {recall:.3f}")
    assert precision >= FLOORS[split][0], wrong
    assert recall >= FLOORS[split][1], wrong


def test_pairs_are_many_and_in_both_halves() -> None:
    found = splits()
    assert sum(map(len, found.values())) >= 260
    assert all(len(pairs) >= 120 for pairs in found.values())


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("айфон 13 про", "apple iphone 13 pro"),
        ("Samsung S21 Ultra 12/256 чёрный", "samsung galaxy s21 ultra"),
        ("Travis Scott Cactus Jack", "nike travis scott cactus jack"),
        ("комод «Мальта»", "malta"),
        ("Sony PS4 Slim 500 гб", "sony playstation 4 slim"),
        ("iPhone X", "apple iphone 10"),
        ("iPhone SE (2-го поколения)", "apple iphone 2 se"),
        ("GeForce GTX1660 super", "nvidia gtx 1660 super"),
        ("iPhone 12/64", "apple iphone 12"),
        ("Kingston A400 240 гб", "kingston a400 240gb"),
        ("WD Blue 1024 GB", "wd caviar blue 1tb"),
        ("Honor X9", "honor x9"),
        ("Honor 9X", "honor 9x"),
    ],
)
def test_keys(text: str, key: str) -> None:
    assert model_key(text) == key


@pytest.mark.parametrize(
    "text", ["", "  ", "-/—«»", "🙂🙂", "\0\0", "Apple", "самсунг", "Телефон б/у", "новый чёрный"]
)
def test_no_key_where_no_model_is_named(text: str) -> None:
    assert model_key(text) is None
    assert model_key(text, brand="Samsung" if text == "самсунг" else "Apple") is None


def test_two_texts_without_a_model_are_not_one_model() -> None:
    assert not same_model("Apple", "Apple")
    assert same_model("айфон 13", "iPhone 13")


@pytest.mark.parametrize(
    ("brand", "model", "whole"),
    [
        ("SIG Sauer", "P320-177-M17-CT", "SIG Sauer P320-177-M17-CT"),
        ("Apple", "iPhone 13 Pro", "iPhone 13 Pro"),
        ("Redmi", "Note 9", "Xiaomi Redmi Note 9"),
        ("Galaxy", "S21", "Samsung Galaxy S21"),
        ("Vaposteam", "VST S205", "Vaposteam VST S205"),
        ("Шатура", "Мальта", "Shatura «Мальта»"),
        ("V7", "V7 MP2S01", "V7 MP2S01"),
    ],
)
def test_a_brand_counts_once_wherever_it_stands(brand: str, model: str, whole: str) -> None:
    assert model_key(model, brand=brand) == model_key(whole, brand=brand) == model_key(whole)
    assert str(model_key(model, brand=brand)).split().count(str(canonical_brand(brand)).split()[0]) == 1


def test_memory_is_a_variant_of_a_device_and_the_model_of_a_card() -> None:
    assert same_model("iPhone 11 64gb", "iPhone 11 128 ГБ")
    assert same_model("Asus VivoBook 15 8/256", "Asus VivoBook 15 16/512 ssd")
    assert not same_model("Transcend SSD 64gb", "Transcend SSD 128gb")
    assert not same_model("GTX 1060 3gb", "GTX 1060 6gb")
    assert model_key("Samsung 64gb", category="Карты памяти") != model_key(
        "Samsung 128gb", category="Карты памяти"
    )


@pytest.mark.parametrize("number", ["S", "C", "V", "M"])
def test_letters_that_are_models_are_no_roman_numbers(number: str) -> None:
    value = {"S": "7", "C": "100", "V": "5", "M": "1000"}[number]
    assert not same_model(f"Yamaha Mark {number}", f"Yamaha Mark {value}")
    assert same_model("Yamaha Mark IV", "Yamaha mark 4")


@given(texts, categories)
@settings(max_examples=300, deadline=None)
def test_the_key_of_a_key_is_the_key(text: str, category: str | None) -> None:
    key = model_key(text, category=category)
    assert key is None or model_key(key, category=category) == key


@given(texts, brands, categories)
@settings(max_examples=300, deadline=None)
def test_the_key_of_a_key_is_the_key_with_and_without_its_brand(
    text: str, brand: str | None, category: str | None
) -> None:
    key = model_key(text, brand=brand, category=category)
    assert key is None or model_key(key, category=category) == key
    if brand != "V7":  # two letters alone cannot be told from a code they stand in
        assert key is None or model_key(key, brand=brand, category=category) == key


@given(names, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_case_spaces_look_alikes_and_unicode_forms_change_nothing(name: str, chance) -> None:
    noisy = "".join(TWINS[char] if char in TWINS and chance.random() < 0.3 else char for char in name)
    noisy = chance.choice([str.upper, str.lower, str.title, str])(noisy).replace(
        " ", chance.choice([" ", "  ", "\u00a0"])
    )
    noisy = unicodedata.normalize(chance.choice(["NFC", "NFD", "NFKD"]), f" {noisy}\u200b ")
    assert model_key(noisy) == model_key(name)


@given(names, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_words_changes_nothing(name: str, chance) -> None:
    """Letters of a code keep their place at its number («9X», «X9»), and phrases stay together."""
    for phrase in (
        "500 MD",
        "GBH 2-26 DRE",
        "Mark IV",
        "Travis Scott",
        "Cactus Jack",
        "SIG Sauer",
        "New Balance",
    ):
        name = name.replace(phrase, phrase.replace(" ", "-"))
    words = name.split()
    chance.shuffle(words)
    assert model_key(" ".join(words)) == model_key(name)


@given(names, st.sampled_from([*CRITICAL, "про", "макс", "мини", "+", "II", "5G", "X", "E"]), st.data())
@settings(max_examples=300, deadline=None)
def test_a_critical_word_more_is_another_model(name: str, word: str, data) -> None:
    told = {"про": "pro", "макс": "max", "мини": "mini", "+": "plus"}.get(word, word.lower())
    if told in name.lower().split():
        return
    longer = name + word if word == "+" else f"{name} {word}"
    assert model_key(longer) != model_key(name)


@given(names, st.data())
@settings(max_examples=300, deadline=None)
def test_another_digit_is_another_model(name: str, data) -> None:
    places = [index for index, char in enumerate(name) if char.isdigit()]
    if places:
        place, digit = data.draw(st.sampled_from(places)), data.draw(st.sampled_from("0123456789"))
        changed = name[:place] + digit + name[place + 1 :]
        assert (model_key(changed) == model_key(name)) == (changed == name)


@given(
    st.lists(st.sampled_from(CRITICAL), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(CRITICAL), max_size=3, unique=True),
)
@settings(deadline=None)
def test_other_critical_words_are_another_model(one: list[str], other: list[str]) -> None:
    same = model_key(" ".join(["Stels Navigator 500", *one])) == model_key(
        " ".join(["Stels Navigator 500", *other])
    )
    assert same == (set(one) == set(other))


@given(st.text(), st.text(), st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_is_answered(model: str, brand: str, category: str) -> None:
    key = model_key(model, brand=brand, category=category)
    assert key is None or key == " ".join(key.split()) != ""
    canonical_brand(brand)
    implied_brand(model)


@pytest.mark.parametrize(
    "piece",
    ["a", "1 ", "я1", "\u202e", "é", "ii ", "😀", "\0", "1", "promax", "iphone", "ﷺ", "и\u0306", "+", "8/"],
)
def test_enormous_texts_take_bounded_time(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    begun = time.process_time()
    key = model_key(text, brand=text, category=text)
    assert time.process_time() - begun < 2
    assert key is None or len(key) < 4000


def test_keys_are_the_same_in_every_process() -> None:
    code = (
        "from service.product_models import model_key; import sys\n"
        "print([model_key(name) for name in sys.argv[1:]])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code, *NAMES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize(
    ("text", "brand"),
    [
        ("самсунг", "samsung"),
        ("Samsng", "samsung"),
        ("Панасоник", "panasonic"),
        ("Panasnic", "panasonic"),
        ("ВАЗ", "lada"),
        ("iPhone", "apple"),
        ("Redmi", "xiaomi"),
        ("Sig Sauer", "sig sauer"),
        ("НР", "hp"),  # in Cyrillic
        ("Nokian", "nokian"),
        ("Nokia", "nokia"),
        ("Martini", "martini"),  # a letter from Martin
        ("HB", "hb"),  # short ones are exact
        ("", None),
        ("«»", None),
    ],
)
def test_brands(text: str, brand: str | None) -> None:
    assert canonical_brand(text) == brand


def test_known_brands_are_themselves() -> None:
    listed = [brand.replace("-", " ") for brand in LISTS["brands"]]
    assert {brand: canonical_brand(brand) for brand in listed} == {brand: brand for brand in listed}


def test_models_imply_brands() -> None:
    told = {
        text: implied_brand(text)
        for text in ("айфон 13", "Galaxy S21", "редми 9", "PS4", "MacBook", "Мальта")
    }
    assert list(told.values()) == ["apple", "samsung", "xiaomi", "sony", "apple", None]


def test_a_spelling_means_one_thing() -> None:
    owners: dict[str, set[str]] = {}
    sections = [LISTS["brands"], LISTS["critical"], LISTS["words"], *LISTS["families"].values()]
    for section in sections:
        for name, spellings in section.items():
            for spelling in [name, *spellings]:
                owners.setdefault(model_words.clean(spelling).replace("-", "").replace(" ", ""), set()).add(
                    name
                )
    assert {spelling: names for spelling, names in owners.items() if len(names) > 1} == {}


def test_words_that_rules_name_are_listed() -> None:
    known = {name.replace("-", " ") for name in LISTS["brands"]}
    known |= {
        *LISTS["critical"],
        *LISTS["words"],
        *(name for words in LISTS["families"].values() for name in words),
    }
    named = {word for maker, words in LISTS["fillers"].items() for word in (maker, *words)}
    named |= {*LISTS["variant"]["families"], *LISTS["variant"]["brands"], *LISTS["phones"]["families"]}
    named |= {*LISTS["phones"]["brands"], *LISTS["parts"]["brands"], *LISTS["families"]}
    assert named - known == set()


def test_the_normalizer_has_a_version() -> None:
    assert NORMALIZER_VERSION == "1"
