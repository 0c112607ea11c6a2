"""A description says what the seller said and no more."""

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.grounding import REASONS, Facts, used
from service.sentences import SentenceSplitter

LISTINGS = Path(__file__).parents[3] / "shared" / "data" / "listings"

OVERALLS = Facts.of(
    [
        'Комбинезон-песочник "Hello-Kitty" рост 62-68',
        "Детская одежда и обувь",
        "Для девочек",
        "Размер: 62-68 см (2-6 мес)",
        "Цвет: розовый",
        "Состояние: б/у, без дефектов",
        "Торг",
    ],
    price=1200.0,
)
PHONE = Facts.of(
    [
        "Apple iPhone 4S 16Gb, две SIM",
        "Экран: 15,6 дюйма",
        "Ширина: 16 см",
        "Android 4.4.2",
        "г. Рязань",
        "ТВ, Wi-Fi",
    ],
    price=20000,
)

SUPPORTED = [
    (OVERALLS, "Комбинезон Hello Kitty для девочки, рост 62–68 см."),
    (OVERALLS, "Размер 62-68, подойдёт от 2 до 6 месяцев."),
    (OVERALLS, "Цена 1 200 ₽, уместен торг."),
    (OVERALLS, "Цена 1200 рублей."),
    (OVERALLS, "Цена 1,2 тыс. руб."),
    (OVERALLS, "Всего за тысячу двести рублей."),
    (OVERALLS, "Розового цвета, б.у., дефектов нет."),
    (OVERALLS, "Удобный комбинезон, хороший вариант на каждый день. Подробности в чате."),
    (OVERALLS, "Один из самых удобных вариантов для Вас."),
    (OVERALLS, "Шесть месяцев — как раз впору."),
    (PHONE, "IPHONE 4s на 16 ГБ."),
    (PHONE, "Экран 15.6, ширина 16 см, два места для SIM."),
    (PHONE, "Работает Wifi, Android 4.4.2."[9:]),
    (PHONE, "Забрать можно в Рязани, цена двадцать тысяч."),
    (PHONE, "Цена 20 тысяч."),
    (Facts.of(["Размер ХL"]), "Размер XL."),  # Cyrillic Х in the input
    (Facts.of(["Платье, размер C"]), "Размер С."),  # Latin C in the input
    (Facts.of(["Квартира двухкомнатная"]), "Двухкомнатная квартира, 2 комнаты."),
]
UNSUPPORTED = [
    (OVERALLS, "Рост 74 см.", "74 см", "ungrounded_number"),
    (OVERALLS, "Всего 262 рубля.", "262 рубля", "ungrounded_number"),
    (OVERALLS, "Есть три кармашка.", "три", "ungrounded_number"),
    (OVERALLS, "Цена 1,5 тыс.", "1,5 тыс.", "ungrounded_number"),
    (OVERALLS, "На 2-6 лет.", "2", "ungrounded_size"),
    (OVERALLS, "Фирмы Carters.", "carters", "ungrounded_word"),
    (OVERALLS, "Куплен у фирмы Самсунг.", "Самсунг", "ungrounded_name"),
    (OVERALLS, "Продаю в Рязани.", "Рязани", "ungrounded_name"),
    (OVERALLS, "Модель «умница».", "умница", "ungrounded_name"),
    (OVERALLS, "Подключается к ТВ.", "ТВ", "ungrounded_name"),
    (OVERALLS, "Совершенно новый.", "новый", "ungrounded_claim"),
    (OVERALLS, "Состояние отличное.", "состояние отличное", "ungrounded_claim"),
    (OVERALLS, "Без торга.", "торга", "ungrounded_claim"),
    (OVERALLS, "Есть дефекты.", "дефекты", "ungrounded_claim"),
    (OVERALLS, "Синий комбинезон.", "синий", "ungrounded_claim"),
    (OVERALLS, "Для мальчиков.", "мальчиков", "ungrounded_claim"),
    (OVERALLS, "Из натурального хлопка.", "хлопка", "ungrounded_claim"),
    (OVERALLS, "Доставка почтой.", "доставка", "ungrounded_claim"),
    (OVERALLS, "Продаю срочно.", "срочно", "ungrounded_claim"),
    (OVERALLS, "Рядом с метро.", "метро", "ungrounded_claim"),
    (OVERALLS, "Есть гарантия и чек.", "гарантия", "ungrounded_claim"),
    (OVERALLS, "Зимний вариант.", "зимний", "ungrounded_claim"),
    (OVERALLS, "Мягкая кукла.", "кукла", "ungrounded_word"),
    (OVERALLS, "Туристический комбинезон.", "туристический", "ungrounded_word"),
    (OVERALLS, "Детский комбинизон.", "комбинизон", "ungrounded_word"),  # a slip of the model's
    (OVERALLS, "Тёплая сукула.", "сукула", "ungrounded_word"),
    (OVERALLS, "Катались одно лето.", "катались", "ungrounded_word"),
    (PHONE, "Память 15 ГБ.", "15 гб", "ungrounded_number"),  # of 15,6
    (PHONE, "Длина 16 мм.", "16 мм", "ungrounded_size"),
    (PHONE, "Android 4.4.", "4.4", "ungrounded_number"),
    (PHONE, "Цена 4 рубля.", "4 рубля", "ungrounded_size"),  # of iPhone 4S
    (PHONE, "Один владелец.", "один владелец", "ungrounded_claim"),
]
SLIPS = Facts.of(["Холодлиьная камера, гироскутор", "Ремешок для часов"])


@pytest.mark.parametrize(
    "sentence",
    [
        "Холодильная камера.",  # the seller's slip, written right
        "Продаю гироскутор, пишите.",  # and one copied
        "Ремешки гироскутора.",
        "Размер ремешка указан в описании.",
    ],
)
def test_the_sellers_words_may_be_bent_and_put_right(sentence):
    assert SLIPS.unsupported(sentence) == []


WORDS = [
    "комбинезон",
    "розовый",
    "для девочек",
    "62-68 см",
    "Hello-Kitty",
    "рост",
    "2-6 мес",
    "б/у",
    "1200 руб",
]


@pytest.mark.parametrize(("facts", "sentence"), SUPPORTED)
def test_what_the_seller_said_is_supported(facts, sentence):
    assert facts.unsupported(sentence) == []


@pytest.mark.parametrize(("facts", "sentence", "text", "reason"), UNSUPPORTED)
def test_invention_is_reported_with_its_fragment(facts, sentence, text, reason):
    assert (text, reason) in [(found.text, found.reason) for found in facts.unsupported(sentence)]
    assert reason in REASONS


@given(st.lists(st.sampled_from(WORDS), min_size=1))
def test_the_inputs_own_words_are_supported_in_any_order(words):
    assert Facts.of(WORDS).unsupported(", ".join(words) + ".") == []


@given(
    st.lists(st.sampled_from(WORDS)),
    st.integers(0, 10**9).filter(lambda number: number not in {62, 68, 2, 6, 1200}),
    st.sampled_from(["{}", "{} см", "{} ₽", "{:,}", "{} шт.", "на {} лет"]),
)
def test_any_other_number_is_reported(words, number, form):
    said = form.format(number).replace(",", " ")
    found = Facts.of(WORDS).unsupported(", ".join([*words, said]) + ".")
    assert "ungrounded_number" in {one.reason for one in found}


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_at_all_gets_an_answer(text, sentence):
    Facts.of([text], price=0.5).unsupported(sentence)
    used([(text, sentence)], description=text)


def test_sellers_own_descriptions_support_themselves_cheaply():
    if not LISTINGS.is_dir():
        pytest.skip(f"no real listings: {LISTINGS.name} is not beside the repository")
    with gzip.open(
        LISTINGS / "avito_2017_private_ads.jsonl.gz", "rt", encoding="utf-8", newline="\n"
    ) as lines:
        listings = [json.loads(line) for line in lines]
    sentences, flagged, spent = 0, [], 0.0
    for listing in listings:
        text = listing.get("description") or ""
        facts = Facts.of([listing["title"], *listing["params"], text], price=listing.get("price"))
        splitter = SentenceSplitter()
        for sentence in splitter.feed(text) + splitter.flush():
            began = time.perf_counter()
            found = facts.unsupported(sentence)
            spent += time.perf_counter() - began
            sentences += 1
            flagged += found
    assert len(flagged) < 0.005 * sentences, flagged
    assert spent / sentences < 0.002  # 0.15 ms on an idle core


def test_used_facts_are_those_the_text_speaks_of():
    facts = {
        "Размер": "62-68 см (2-6 мес)",
        "Цвет": "розовый",
        "Комнат": "2",
        "Коробка": "Да",
        "Материал": "Хлопок",
        "Рост": "74 см",
    }
    text = "Розовый комбинезон, размер 62–68 см, на 2-6 месяцев. Коробка есть."
    assert used(facts, description=text) == ["Размер: 62-68 см (2-6 мес)", "Цвет: розовый", "Коробка: Да"]


def test_used_takes_pairs_and_a_fact_without_a_label():
    assert used([("", "Для девочек"), ("", "Для мальчиков")], description="Платье для девочки") == [
        "Для девочек"
    ]
