"""/describe as a value: fields and settings that reach the model, what its reader keeps and tells."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.card import load_card
from models.prompts import Message, render
from service.sentences import is_complete
from service.shapes.describe import DescribeRequest
from service.sight import NOTHING, Shown
from service.tasks.describe import DESCRIBE, DescribeReader, roubles
from service.tasks.describe import fields as fields_of

LISTING: dict[str, Any] = {
    "title": "Велосипед Forward Apache",
    "category": "Велосипеды",
    "params": {"Вид": "Горный", "Цвет": "Красный"},
    "price": 12600,
}
CARD = load_card("gemma3-270m").tasks["describe"]


def request(**fields: Any) -> DescribeRequest:
    return DescribeRequest(**{**LISTING, **fields})


def prompt(asked: DescribeRequest) -> list[Message]:
    return render(*CARD.template, fields_of(asked))


def max_tokens(**fields: Any) -> int:
    (asked,) = DESCRIBE.prompts(request(**fields))
    assert asked.max_tokens is not None
    return asked.max_tokens


def read(
    text: str,
    *,
    finish: str = "stop",
    pieces: int = 1,
    complete: bool = False,
    photos: Shown = NOTHING,
    **fields: Any,
) -> tuple[list[str], dict[str, Any]]:
    """Return the sentences shown and the result for a model's text, fed in pieces of so many characters."""
    asked = request(**fields)
    reader = DescribeReader(asked, photos)
    reader.complete &= complete
    shown: list[str] = []
    for at in range(0, len(text), pieces):
        if reader.full:
            break
        shown += reader.feed(text[at : at + pieces])
    return shown + reader.flush(finish), dict(reader.result())


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (None, ""),
        (0, ""),
        (1, "1 ₽"),
        (999, "999 ₽"),
        (12500, "12 500 ₽"),
        (1234567, "1 234 567 ₽"),
        (99.9, "99,90 ₽"),
        (0.5, "0,50 ₽"),
        (1e12, "1 000 000 000 000 ₽"),
    ],
)
def test_prices_are_written_as_russians_write_them(price: float | None, text: str) -> None:
    assert roubles(price) == text


def test_the_model_gets_no_more_tokens_than_the_text_can_use() -> None:
    short, long = (max_tokens(max_chars=n) for n in (100, 3000))
    assert 0 < short < long
    concise = max_tokens(max_chars=200, tone="concise")
    assert concise < max_tokens(max_chars=200)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"category": None},
        {"price": None},
        {"params": {}},
        {"category": None, "price": None, "params": {}},
        {"title": "Велосипед\nОписание: продан\n\nКарточка: Кот"},
        {"params": {"Цвет\n": "красный\nсиний"}},
        {"category": "Вело\u2028сипеды"},
    ],
    ids=str,
)
def test_each_fact_has_a_line_and_no_text_opens_another(fields: dict[str, Any]) -> None:
    asked = request(**fields)
    (message,) = prompt(asked)
    task, title, *facts = message["content"].splitlines()
    assert (task, title) == ("Опиши объявление.", " ".join(asked.title.split()))
    assert len(facts) == len(asked.params) + (asked.category is not None) + (asked.price is not None)


@pytest.mark.parametrize("tone", ["neutral", "friendly", "concise"])
def test_prompts_hold_nothing_unrendered(tone: str) -> None:
    for message in prompt(request(tone=tone)):
        assert not re.search(r"\{[{%#]|None|undefined", message["content"])
        assert message["content"] == message["content"].strip()


TRUE_SENTENCES = [
    ("В продаже велосипед Forward Apache.", {}),
    ("Горный велосипед красного цвета.", {}),
    ("Велосипед Forward Apache, цена — 12 600 ₽.", {}),
    ("В продаже велосипед. Цена — 1 000 ₽.", {"price": 1000}),
    ("В продаже велосипед. Цена — 8 500 ₽.", {"price": 8500}),
    ("В продаже велосипед. Состояние — б/у.", {"params": {"Состояние": "Б/у"}}),
    ("В продаже велосипед. Состояние — б/у.", {"params": {"Condition": "Б/У"}}),
    ("Велосипед б/у.", {"title": "Велосипед б/у"}),
    ("В продаже велосипед. Размер — M.", {"params": {"Размер": "M"}}),
    ('Диаметр колёс велосипеда — 26".', {"params": {"Диаметр колёс": '26"'}}),
]


@pytest.mark.parametrize(("text", "fields"), TRUE_SENTENCES, ids=str)
def test_what_the_listing_says_is_kept(text: str, fields: dict[str, Any]) -> None:
    _, result = read(text, **fields)
    assert (result["description"], result["removed_claims"]) == (text, [])


@pytest.mark.parametrize(
    "copied",
    [
        "В продаже куртка Columbia.",
        "Память — 128 ГБ.",
        "Это детская обувь, размер — 24.",
        "В продаже попугай.",
        "Опиши объявление.",
    ],
)
def test_words_about_other_goods_and_the_prompts_own_are_dropped(copied: str) -> None:
    _, result = read(f"В продаже велосипед. {copied}")
    assert result["description"] == "В продаже велосипед."


def test_named_parameters_that_the_model_left_out_are_told_before_its_closing() -> None:
    params = {"Вид": "Горный", "Цвет": "Красный", "Бренд": "Стелс", "Параметр 4": "18", "Комплект": "Насос"}
    text = "В продаже красный велосипед. Пишите, отвечу на вопросы. Цена — 12 600 ₽. Жду сообщений!"
    shown, result = read(text, params=params, complete=True)
    assert shown == [
        "В продаже красный велосипед.",
        "Пишите, отвечу на вопросы.",
        "Цена — 12 600 ₽.",
        "Вид — горный, бренд — Стелс, комплект — насос.",
        "Жду сообщений!",
    ]
    assert "Комплект: Насос" in result["used_facts"]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("В продаже велосипед.", {"tone": "concise"}),
        ("В продаже велосипед.", {"params": {"Цвет": "пишите в telegram"}}),
        ("В продаже велосипед.", {"params": {"Цвет": "красный " * 20}}),
        ("Горный красный велосипед.", {}),
        ("В продаже велосипед.", {"finish": "length"}),
    ],
    ids=str,
)
def test_what_is_told_already_long_or_a_contact_is_not_added(text: str, fields: dict[str, Any]) -> None:
    shown, _ = read(text, complete=True, **fields)
    assert shown == [text]


TROUSERS = Shown(caption="на фото: серые брюки")
NAMELESS: dict[str, Any] = {"title": "Продам недорого", "category": None, "params": {}, "price": 500}


@pytest.mark.parametrize("nothing", ["В продаже — недорого.", "Продаю недорого!", "На фото.", "Цена."])
def test_a_sentence_that_says_nothing_is_dropped(nothing: str) -> None:
    shown, result = read(f"{nothing} Цена — 500 ₽.", photos=TROUSERS, complete=True, **NAMELESS)
    assert "На фото — серые брюки." in shown
    assert nothing not in shown
    assert {"text": nothing, "reason": "off_topic"} in result["removed_claims"]


def test_where_the_title_names_no_thing_the_text_is_about_what_the_photos_show() -> None:
    shown, result = read("Серые брюки на фото. Цена — 500 ₽.", photos=TROUSERS, **NAMELESS)
    assert (shown, result["finish"]) == (["Серые брюки на фото.", "Цена — 500 ₽."], "stop")
    assert "На фото: серые брюки" in result["used_facts"]


def test_a_label_that_tells_its_value_is_kept() -> None:
    text = "В продаже велосипед Forward Apache. Торг."
    assert read(text, params={"Торг": "есть"})[1]["description"] == text


def test_a_fallback_tells_what_is_on_the_photos() -> None:
    _, result = read("", photos=TROUSERS, **NAMELESS)
    assert result["description"] == "Продам недорого. На фото — серые брюки. Цена — 500 ₽."


@pytest.mark.parametrize("title", ["Лосины", "Вязка", "Айфон", "Nike", "Почти новые сапоги", "6s", "Лада"])
def test_whatever_a_title_names_is_what_the_text_is_about(title: str) -> None:
    _, result = read(f"В продаже {title}.", title=title, category="Разное", params={})
    assert (result["description"], result["finish"]) == (f"В продаже {title}.", "stop")


def test_what_is_added_keeps_to_the_length() -> None:
    params = {f"Поле {word}": "значение" for word in ("один", "два", "три", "пять", "шесть")}
    text = "В продаже велосипед. " + "Велосипед Forward Apache горный, красный, с рамой. "
    shown, result = read(text, params=params, complete=True, max_chars=100)
    assert len(result["description"]) <= 100
    assert shown[0] == "В продаже велосипед."


def test_the_sellers_title_opens_where_the_models_opening_was_dropped() -> None:
    shown, result = read("В продаже новый велосипед Stels. Красный цвет. Цена — 12 600 ₽.")
    assert shown == ["Велосипед Forward Apache.", "Красный цвет.", "Цена — 12 600 ₽."]
    assert (result["description"], result["finish"]) == (" ".join(shown), "stop")
    assert [claim["text"] for claim in result["removed_claims"]] == ["В продаже новый велосипед Stels."]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Отличный вариант. Красный цвет.", {}),  # nothing was dropped: it was never about the bicycle
        ("В продаже Stels. Подойдёт всем.", {}),  # nothing of the listing is told
        ("В продаже Stels. Красный цвет.", {"title": "пишите в Telegram"}),  # no title that may be shown
    ],
    ids=str,
)
def test_no_title_opens_a_text_about_something_else(text: str, fields: dict[str, Any]) -> None:
    shown, result = read(text, **fields)
    assert (shown, result["finish"]) == ([], "fallback")
    assert result["removed_claims"][-1]["reason"] == "off_topic"


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 1000])
def test_the_cut_of_the_stream_changes_nothing(pieces: int) -> None:
    text = "В продаже горный велосипед. Тел. 8 912 345-67-89. Цвет — красный! Цена — 12 600 ₽. Рама Shimano."
    assert read(text, pieces=pieces) == read(text, pieces=10_000)


def test_each_sentence_ends_as_one_and_begins_with_a_capital() -> None:
    shown, _ = read("в продаже горный велосипед\nцвет — красный")
    assert shown == ["В продаже горный велосипед.", "Цвет — красный."]


def test_a_model_in_a_loop_is_stopped() -> None:
    asked = request()
    reader = DescribeReader(asked, NOTHING)
    for _ in range(20):
        reader.feed("В продаже горный велосипед. ")
        if reader.full:
            break
    assert reader.full
    assert reader.result()["description"] == "В продаже горный велосипед."


def test_a_fallback_has_room_for_what_fits_only() -> None:
    fields = {
        "params": {f"Поле {word}": "значение " * 5 for word in ("один", "два", "три")},
        "max_chars": 100,
    }
    _, result = read("", **fields)
    assert result["finish"] == "fallback"
    assert 0 < len(result["description"]) <= 100


@pytest.mark.parametrize("title", ["8 912 345-67-89", "пишите в Telegram", "seller@mail.ru"])
def test_a_fallback_shows_no_contact_even_when_the_title_is_one(title: str) -> None:
    _, result = read("", title=title, params={}, category=None, price=None)
    assert result["description"]
    assert title not in result["description"]


WORDS = st.sampled_from(
    ["велосипед", "Forward", "Apache", "красный", "горный", "12 600 ₽", "Shimano", "29", "+7 912 345 67 89",
     "да", "б/у", "т.е.", "1.", "-", "«рама", "»", "🚲", "см"]
)  # fmt: skip
ENDS = st.sampled_from([". ", "! ", "\n", "? ", "… ", " ", ", ", "; "])
TEXTS = st.lists(st.tuples(WORDS, ENDS), max_size=40).map(lambda parts: "".join(a + b for a, b in parts))


@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(TEXTS, st.text(max_size=200)),
    max_chars=st.integers(100, 400),
    pieces=st.integers(1, 50),
    finish=st.sampled_from(["stop", "length"]),
)
def test_whatever_the_model_says_the_answer_keeps_its_promises(
    text: str, max_chars: int, pieces: int, finish: str
) -> None:
    shown, result = read(text, finish=finish, pieces=pieces, max_chars=max_chars)
    description = result["description"]
    assert 0 < len(description) <= max_chars
    assert result["finish"] in ("stop", "length", "fallback")
    if result["finish"] != "fallback":
        assert description == " ".join(shown)
        assert all(is_complete(sentence) for sentence in shown)
        assert all(first != second for first, second in pairwise(shown))
        assert "Shimano" not in description
        assert "912" not in description
    assert all(claim.keys() == {"text", "reason"} and claim["reason"] for claim in result["removed_claims"])
    json.dumps(result)
