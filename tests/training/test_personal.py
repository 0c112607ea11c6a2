"""Personal data is found with its place and replaced; numbers that are nobody's stay."""

import gzip
import json
import pickle
import sys
import time
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.writers.jsonl import JsonlWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cleaning.checksums import inn, luhn, snils
from training.cleaning.digits import fold
from training.cleaning.personal import KINDS, PLACEHOLDERS, Found, PersonalData, find, replace

DATA = Path(__file__).parents[3] / "shared" / "data"

PHONES = [
    "+7 926 123-45-67",
    "8(926)123 45 67",
    "89261234567",
    "9261234567",
    "926 123 45 67",
    "8.926.123.45.67",
    "8/926/123/45/67",
    "8\u200b926\u200b123\u200b45\u200b67",
    "+7\u2011926\u2011123\u201145\u201167",
    "8 — 926 — 123 — 45 — 67",
    "8 9 2 6 1 2 3 4 5 6 7",
    "8-926-1-2-3-45-67",
    "89 26 12 34 567",
    "8-9О5-l23-45-67",
    "8926ЗЗ34567",
    "8 926 ООО 12 34",
    "８９２６１２３４５６７",
    "⑧⑨②⑥①②③④⑤⑥⑦",
    "8️⃣9️⃣2️⃣6️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣",
    "📞8🔹926🔹123🔹45🔹67".removeprefix("📞"),
    "восемь девятьсот двадцать шесть сто двадцать три сорок пять шестьдесят семь",
    "Восемь, девять, два, шесть, один, два, три, четыре, пять, шесть, семь",
    "плюс семь девятьсот шестнадцать три семерки сорок пять ноль семь",
    "8 девятьсот 26 сто 23 сорок пять 67",
    "8девять26 123 45 67",
    "восемь девятьсот двадцать шесть пятьсот пятьдесят четыре семьдесят один",
    "(495) 123-45-67",
    "8 (4922) 12-34-56",
    "8-800-555-35-35",
    "8 (926) 123-45-67 доб. 12",
    "8 (код 926) 123-45-67",
    "+375 29 123-45-67",
    "8 029 123-45-67",
    "+380 67 123 45 67",
    "+7 701 123 45 67",
    "+998 90 123 45 67",
]
NAMED_PHONES = [
    "тел. 12-34-56",
    "телефон: 2-34-56",
    "звоните 2345678",
    "т. 502-107",
    "по номеру 234567",
    "тел/факс 123-45-67",
]
OTHERS = {
    "email": [
        "ivan.petrov@mail.ru",
        "IVAN@Mail.RU",
        "ivan+ads@mail.example.com",
        "иван@почта.рф",
        "ivan@яндекс.рф",
        "ivan собака мейл точка ру",
        "ivan точка petrov собака gmail точка com",
        "ivan (at) mail (dot) ru",
        "ivan[@]mail.ru",
        "ivan @ mail . ru",
    ],
    "card": [
        "4111 1111 1111 1111",
        "4111111111111111",
        "5555-5555-5555-4444",
        "2200 0000 0000 0004",
        "3782 822463 10005",
    ],
    "inn": ["500100732259"],
    "snils": ["112-233-445 95", "112 233 445 95", "11223344595"],
    "account": ["40817810099910004312"],
    "messenger": ["https://t.me/ivan_petrov", "wa.me/79261234567", "vk.com/id12345678"],
}
NAMED = [
    ("ИНН ", "7707083893", "inn", ""),
    ("инн/кпп ", "7707083893", "inn", "/770701001"),
    ("СНИЛС ", "112-233-445-95", "snils", ""),
    ("паспорт ", "45 08 123456", "passport", ""),
    ("Паспорт серия ", "4508 номер 123456", "passport", " выдан ОВД"),
    ("серия ", "45 08 № 123456", "passport", ""),
    ("", "4508 123456", "passport", " выдан УФМС"),
    ("загранпаспорт ", "75 1234567", "passport", ""),
    ("карта ", "4111 11111111 1111", "card", ""),
    ("тг: ", "ivan_petrov", "messenger", ""),
    ("пишите в телеграм ", "@ivan_petrov", "messenger", ""),
]
NOBODYS = [
    "Цена 1 200 000 ₽, торг до 7 900 000",
    "Цены 4000 4500 50; 16500; 7800; 1700; 800",
    "размеры 92 98 104 110 116 122, 8 10 12 14 16 18",
    "Артикул 119036-087-411, арт. 89261234567, код товара 9261234567",
    "OEM 8450006670 и 8450006670, 06A 115 561 B, 21230-1003010-00",
    "IMEI 352099001761481, 352099001761481",
    "VIN XTA210930Y2700000",
    "ISBN 978-5-17-080115-2",
    "штрихкод 4601234567893, 4600000000008",
    "12.05.2017 в 10:30, 2015-2017, 8.03.2017 10:00",
    "Звонить с 10-00 до 19-00, звонить 10-00 19-00",
    "374x246x36.8 мм, 903*353*1985*207",
    "шины 225-45-17, 195/65 R15, 5x114.3",
    "ОГРН 1027700132195, КПП 770701001, БИК 044525225, р/с 40702810900000012345",
    "заказ № 9261234567, ID 79261234567",
    "55.755826, 37.617300",
    "Nokia 3310, телефон Samsung 12345, ВАЗ 21099",
    "ул. Ленина, д. 12, кв. 345, индекс 101000",
    "№ 123-ФЗ от 01.01.2010, ГОСТ 12345-2017",
    "0.9192433408, 1690388256, -2147483648, +2147483647, 9 223 372 036 854 775 807",
    "http://www.ozon.ru/context/detail/id/89157391123/, 89.161.234.167:8080",
    "commit a89161234567f3b2c1d0e9f8a7b6c5d4e3f2a1b0",
    "4276 3800 1234 5678, ИНН 500100732250, СНИЛС 112-233-445 96",
    "8 916 ХХХ-ХХ-ХХ, +7 (9**) ***-**-67",
    "семь, восемь, девять, десять, одиннадцать, двенадцать, тринадцать",
    "двести пятьдесят тысяч рублей, два или три раза",
    "Каждая собака знает, собаку точка продал; @Override, HEAD@{5}, icon@2x.png, git@github.com:a/b.git",
    "346 230 E6 Ф КИРИЛЛИЧЕСКАЯ ПРОПИСНАЯ БУКВА Ф 347 231 E7",
]


def left(text: str) -> str:
    """Return what remains of a text without its personal data."""
    for found in reversed(find(text)):
        text = text[: found.start] + text[found.end :]
    return text


@pytest.mark.parametrize("phone", PHONES)
def test_telephone_is_taken_whole_however_it_is_written(phone):
    for before, after in (
        ("", ""),
        ("Продам диван, ", " Анна"),
        ("тел. ", ", Анна"),
        ("Цена 5000 руб.\n", "\nТорг"),
    ):
        text = before + phone + after
        assert [one.kind for one in find(text)] == ["phone"]
        assert left(text) == before + after


@pytest.mark.parametrize("text", NAMED_PHONES)
def test_short_number_needs_a_word_before_it(text):
    word, _, number = text.rpartition(" ")
    assert replace(text) == (f"{word} [телефон]", {"phone": 1})
    if number != "123-45-67":
        assert find(f"всего {number} раз") == []


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in OTHERS.items() for text in texts])
def test_other_data_is_taken_whole(kind, text):
    assert find(f"Пишу {text}, жду") == [Found(kind, 5, 5 + len(text))]
    assert replace(text) == (PLACEHOLDERS[kind], {kind: 1})


@pytest.mark.parametrize(("before", "number", "kind", "after"), NAMED)
def test_word_beside_makes_the_number_somebodys(before, number, kind, after):
    assert find(before + number + after) == [Found(kind, len(before), len(before + number))]


@pytest.mark.parametrize("text", NOBODYS)
def test_numbers_that_are_nobodys_stay(text):
    assert replace(text) == (text, {})


def test_several_in_one_text_are_told_apart():
    text = (
        "Тел. 12-34-56, 65-43-21; 8-926-123-45-67/8 (495) 123-45-67, карта 4111 1111 1111 1111 ivan@mail.ru."
    )
    cleaned, counts = replace(text)
    assert cleaned == "Тел. [телефон], [телефон]; [телефон]/[телефон], карта [карта] [почта]."
    assert counts == {"phone": 4, "card": 1, "email": 1}


@given(
    st.text("0123456789", min_size=9, max_size=9),
    st.sampled_from(["8", "+7"]),
    st.sampled_from(list(" -–\u2011\u00a0.")),
)
def test_any_mobile_number_in_groups_is_found(digits, prefix, gap):
    groups = [prefix, "9" + digits[:2], digits[2:5], digits[5:7], digits[7:]]
    assert left(f"стол {gap.join(groups)} новый") == "стол  новый"


@given(
    st.text(st.sampled_from("8 9+-(),.@7оОзl№\u200b\ufe0f👍abсобака точкасемь"), max_size=80)
    | st.text(max_size=80)
)
@settings(max_examples=300)
def test_any_text_gets_places_in_order_and_stays_clean(text):
    found = find(text)
    assert all(one.kind in KINDS and 0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= following.start for one, following in pairwise(found))
    assert replace(text)[1].total() == len(found)


def test_folding_keeps_every_place():
    for start in range(0, sys.maxunicode, 2**16):
        chars = "".join(map(chr, range(start, min(start + 2**16, sys.maxunicode))))
        assert len(fold(chars)) == len(chars)
    assert fold("８ЁёІ\u2011\u00a0") == "8ееі- "
    assert all(
        fold(char).isascii()
        for char in map(chr, range(0x10000))
        if unicodedata.decimal(char, None) is not None
    )


def test_check_digits_follow_the_published_examples():
    assert luhn("4111111111111111") and not luhn("4111111111111112")
    assert inn("7707083893") and inn("500100732259") and not inn("7707083894") and not inn("0000000000")
    assert snils("11223344595") and not snils("11223344596") and not snils("00100199800")


@pytest.mark.parametrize(
    "piece", ["8 ", "8-", "@", "a@a ", "восемь ", "0о ", "тел. 1-", "паспорт 45 08 ", "t.me/", "собака "]
)
def test_time_grows_with_the_text_only(piece):
    def spent(times):
        begun = time.process_time()
        find(piece * times)
        return time.process_time() - begun

    spent(10)
    assert spent(8000) < 40 * spent(800) + 0.2


def test_step_replaces_and_counts():
    step = pickle.loads(pickle.dumps(PersonalData()))
    documents = [
        Document("Тел. 89261234567, ivan@mail.ru", "1", metadata={"source": "a"}),
        Document("Стол", "2"),
    ]
    kept = list(step.run(iter(documents)))
    assert [document.text for document in kept] == ["Тел. [телефон], [почта]", "Стол"]
    assert [document.metadata for document in kept] == [
        {"source": "a", "personal_data": {"email": 1, "phone": 1}},
        {},
    ]
    assert step.stats["personal_phone"].total == 1 and step.stats["forwarded"].total == 2


def test_step_drops_and_keeps_the_dropped_with_the_reason(tmp_path):
    writer = JsonlWriter(str(tmp_path), output_filename="dropped.jsonl", compression=None)
    step = PersonalData("drop", exclusion_writer=writer)
    documents = [Document("Тел. 89261234567", "1"), Document("Стол 92 98 104", "2")]
    assert [document.id for document in step.run(iter(documents))] == ["2"]
    (row,) = [json.loads(line) for line in (tmp_path / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert row["metadata"]["filter_reason"] == "personal_data" and row["text"] == "Тел. 89261234567"
    assert step.stats["dropped_personal_data"].total == 1 and step.stats["personal_phone"].total == 1


def test_real_listings_have_few_and_titles_of_goods_none():
    if not DATA.is_dir():
        pytest.skip("the real texts are not beside the repository")
    found = {}
    for name, field in (
        ("listings/avito_2017_private_ads", "description"),
        ("product_models/walmart_amazon_en", "title"),
    ):
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
            found[name] = sum(len(find(json.loads(line).get(field) or "")) for line in file)
    assert found["listings/avito_2017_private_ads"] < 15  # the site has removed most by itself
    assert found["product_models/walmart_amazon_en"] == 0
