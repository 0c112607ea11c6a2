"""Sentences leave the splitter whole, once, and the same however the text arrives."""

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.sentences import SentenceSplitter, is_complete

LISTINGS = Path(__file__).parents[3] / "shared" / "data" / "listings"

WHOLE = [
    "Продам диван, г. Москва, ул. Мира, д. 5, кв. 7.",
    "Работает на Android 4.4.2, экран 1.5 дюйма.",
    "Книга А. С. Пушкина, изд. Просвещение.",
    "В наличии стулья, столы, и т.д. и т.п. по запросу.",
    "Площадь 44 кв. м, т.е. просторная.",
    "Есть 2 шт. и др. вещи.",
    "Диван «Ура! Победа.» стоит у стены.",
    "Цена 5000 руб. за штуку.",
    "Установлены пласт. окна.",
    "Дом (см. фото. Там видно) тёплый.",
    "Тел. Samsung в хорошем состоянии.",
    "Ну... хороший диван.",
]
SEVERAL = [
    ("Торг! Обмен? Звоните!!! Жду.", ["Торг!", "Обмен?", "Звоните!!!", "Жду."]),
    ("Что?! Да… Ну ладно.", ["Что?!", "Да…", "Ну ладно."]),
    ("Цена 5000 руб. Торг.", ["Цена 5000 руб.", "Торг."]),
    ("Куплен в 2017 г. Продаю.", ["Куплен в 2017 г.", "Продаю."]),
    ("Диван б/у. Торг.", ["Диван б/у.", "Торг."]),
    ("Размер L. Новый.", ["Размер L.", "Новый."]),
    ("Отличный диван))) Звоните.", ["Отличный диван)))", "Звоните."]),
    ("Отличный диван! )) Звоните.", ["Отличный диван! ))", "Звоните."]),
    ("Состояние хорошее.Продам срочно.", ["Состояние хорошее.", "Продам срочно."]),
    ("состояние отличное. продам срочно.", ["состояние отличное.", "продам срочно."]),
    ("- Стол\n• Стул\n1. Диван\n* Шкаф", ["Стол", "Стул", "Диван", "Шкаф"]),
    ("В комплекте:\n\n— коробка;\n— чек", ["В комплекте:", "коробка;", "чек"]),
    ("Диван. «Новый». Удобный.", ["Диван.", "«Новый».", "Удобный."]),
]


def split(text: str, *, size: int = 10**6) -> list[str]:
    splitter = SentenceSplitter()
    found = []
    for start in range(0, len(text), size):
        found += splitter.feed(text[start : start + size])
    return found + splitter.flush()


def real_descriptions() -> list[str]:
    if not LISTINGS.is_dir():
        pytest.skip(f"no real listings: {LISTINGS.name} is not beside the repository")
    with gzip.open(
        LISTINGS / "avito_2017_private_ads.jsonl.gz", "rt", encoding="utf-8", newline="\n"
    ) as lines:
        return [json.loads(line).get("description") or "" for line in lines]


@pytest.mark.parametrize("text", WHOLE)
def test_one_sentence_stays_one(text):
    assert split(text) == [text]


@pytest.mark.parametrize(("text", "sentences"), SEVERAL)
def test_sentences_part_where_a_reader_would_part_them(text, sentences):
    assert split(text) == sentences


def test_sentence_leaves_as_soon_as_the_next_begins():
    splitter = SentenceSplitter()
    assert splitter.feed("Продам диван. ") == []  # «Продам диван. и стул» may follow
    assert splitter.feed("Ц") == ["Продам диван."]
    assert splitter.feed("вет синий\n") == ["Цвет синий"]
    assert splitter.flush() == []


def test_splitter_starts_anew_after_flush():
    splitter = SentenceSplitter()
    splitter.feed("Продам диван.")
    assert splitter.flush() == ["Продам диван."]
    assert splitter.feed("Торг. Обмен.") == ["Торг."]


TEXTS = st.one_of(
    st.text("абвАБВ .!?…)»«(\n-•:;123,ё", max_size=80),
    st.lists(
        st.sampled_from(
            ["Диван", "г.", "5", "руб.", "!", "...", ")", "(", "«", "»", "\n", "- ", " ", "и", "А."]
        )
    ).map(" ".join),
    st.text(max_size=60),
)


@given(TEXTS, st.integers(1, 7))
def test_split_does_not_depend_on_the_pieces(text, size):
    assert split(text, size=size) == split(text)


@given(TEXTS)
def test_nothing_but_space_and_list_marks_is_lost(text):
    lost = list("".join(text.split()))
    for char in "".join("".join(split(text)).split()):
        lost.remove(char)
    assert set(lost) <= set("-–—•*·▪►●.)0123456789")


@given(st.lists(st.sampled_from(["Диван новый", "Цена 500 руб", "Торг"]), min_size=1).map(". ".join))
def test_ordinary_sentences_lose_nothing_at_all(text):
    assert "".join(split(text)).replace(" ", "") == text.replace(" ", "")


def test_real_descriptions_split_the_same_in_any_pieces():
    for text in real_descriptions():
        assert split(text, size=1) == split(text)


@pytest.mark.parametrize("text", ["Хороший диван, г. Москва. " * 120, "а" * 3000, "." * 3000, ")" * 3000])
def test_cost_is_linear(text):
    def cost() -> float:
        began = time.perf_counter()
        split(text[:3000], size=1)
        return time.perf_counter() - began

    assert min(cost() for _ in range(5)) < 0.05  # 5 ms on an idle core; ten times that for a busy one


@pytest.mark.parametrize("text", ["Диван.", "Торг!", "Да?", "Ну…", "«Новый.»", "(торг.)", "Отлично)))"])
def test_terminal_mark_completes(text):
    assert is_complete(text)


@pytest.mark.parametrize("text", ["Диван", "Цена 1.5", "В комплекте:", "Стол,", ""])
def test_no_terminal_mark_no_end(text):
    assert not is_complete(text)
