"""Which reviews are read: copies, empty ones and a shop's answers are told apart, whatever their order."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.reviews import Review, Sifted, sift

ANSWER = (
    "Здравствуйте! Свяжитесь с нами в чате с продавцом, и мы постараемся разрешить проблему. Раздел "
    "«Профиль», затем «Покупки», затем три точки на купленном товаре. Благодарим за обращение."
)
REGRET = (
    "Спасибо, что поделились своим мнением. Нам очень жаль, что у вас остался негативный опыт от покупки."
)


def of(*texts: str, rating: int | None = 5) -> list[Review]:
    return [Review(id=f"{index:05}", text=text, rating=rating) for index, text in enumerate(texts)]


def kept(sifted: Sifted) -> set[str]:
    return {review.id for review in sifted.kept}


@pytest.mark.parametrize(
    "copy",
    ["ЕЩЁ ЯРЧЕ, чем думала", "еще ярче чем думала", "Ещё ярче,чем думала!!!", "Ещёёё ярче… чем думала 👍"],
)
def test_a_copy_is_one_whatever_its_case_and_punctuation(copy: str) -> None:
    sifted = sift(of("Ещё ярче, чем думала.", copy))
    assert kept(sifted) == {"00000"}
    assert sifted.skipped == {"duplicate": 1}


def test_texts_that_differ_in_a_word_or_a_number_are_no_copies() -> None:
    sifted = sift(of("Работает 2 дня", "Работает 3 дня", "Работает дня"))
    assert len(sifted.kept) == 3
    assert not sifted.skipped


@pytest.mark.parametrize(
    "text", ["", " \n", "«»", "...", "👍👍👍", "а", "10/10", "\x00\x00", "Достоинства: Недостатки:", "\u200b"]
)
def test_a_text_that_says_nothing_is_empty(text: str) -> None:
    sifted = sift(of(text, text, "Хороший звук"))
    assert kept(sifted) == {"00002"}
    assert sifted.skipped == {"empty": 2}


@pytest.mark.parametrize("text", ["جيد جدا", "מצוין", "Very good", "Ок", "хорошо\x00"])
def test_any_script_counts_as_said(text: str) -> None:
    assert len(sift(of(text)).kept) == 1


def test_ratings_count_once_for_a_copy_and_also_for_an_empty_text() -> None:
    sifted = sift(
        [
            Review(id="a", text="Отлично", rating=5),
            Review(id="b", text="отлично!", rating=5),
            Review(id="c", text="", rating=1),
            Review(id="d", text="", rating=1),
            Review(id="e", text="Неплохо", rating=None),
        ]
    )
    assert sifted.rated == (1, 1, 5)


def test_a_shops_answer_glued_to_many_reviews_is_not_read() -> None:
    own = ["Не работает пульт.", "Сломался провод", "Пришёл без коробки"]
    sifted = sift(of(*(f"{text} {REGRET}" for text in own), rating=1))
    assert sorted(review.own.strip() for review in sifted.kept) == sorted(own)
    assert all(review.text.endswith(REGRET) for review in sifted.kept)


def test_a_salutation_in_mid_text_begins_the_answer_of_a_shop() -> None:
    (review,) = sift(of(f"Недостатки:Мигает только зелёным {ANSWER}")).kept
    assert review.own == "Недостатки:Мигает только зелёным "


def test_a_review_may_begin_with_a_salutation() -> None:
    text = "Здравствуйте! Пульт не работает, верните деньги."
    (review,) = sift(of(text)).kept
    assert review.own == text


def test_a_review_that_is_nothing_but_the_shops_answer_is_pasted() -> None:
    sifted = sift(of(f"Плохо. {REGRET}", f"Ужасно. {REGRET}", REGRET, rating=1))
    assert kept(sifted) == {"00000", "00001"}
    assert sifted.skipped == {"pasted": 1}


def test_short_praise_in_many_reviews_is_nobodys_paste() -> None:
    sifted = sift(of(*(f"{word}. Ребёнок в полном восторге!" for word in ("Ура", "Супер", "Класс", "Да"))))
    assert len(sifted.kept) == 4
    assert all("восторге" in review.own for review in sifted.kept)


@given(st.lists(st.text(alphabet="аб вГ.!1👍", max_size=12), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_request_changes_nothing(texts: list[str], chance: random.Random) -> None:
    reviews = of(*texts)
    shuffled = reviews[:]
    chance.shuffle(shuffled)
    assert sift(shuffled) == sift(reviews)


def test_the_reading_order_is_no_order_of_the_request() -> None:
    reviews = of(*(f"Отзыв про звук номер {index}" for index in range(50)))
    order = [review.id for review in sift(reviews).kept]
    assert order != sorted(order)


def test_ten_thousand_one_character_reviews_are_sifted_in_no_time() -> None:
    begun = time.process_time()
    sifted = sift(of(*("я" for _ in range(10_000))))
    assert sifted.skipped == {"empty": 10_000}
    assert time.process_time() - begun < 5.0  # what is quadratic takes minutes
