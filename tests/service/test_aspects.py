"""What reviews praise and blame: in whose words, on which side, and what never becomes an aspect."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.aspects import Reading, Subject, diminutives, read
from service.tasks.reviews import Review
from service.tasks.topics import QUOTE_CHARS, Topic, Topics, gather

LAMP = Subject.of("product", "Ночник-проектор «Космос»")
CAFE = Subject.of("service", "Кафе «Весна»")
SHOP = Subject.of("seller", "Ольга")


def reading(text: str, rating: int | None = None, *, subject: Subject = LAMP, name: str = "1") -> Reading:
    return read(Review(id=name, text=text, rating=rating), subject=subject)


def sides(text: str, rating: int | None = None, *, subject: Subject = LAMP) -> set[tuple[int, str]]:
    """Return (side, aspect) of what code decides without the model."""
    return {
        (claim.side(0), named.key)
        for claim in reading(text, rating, subject=subject).claims
        for named in claim.named
        if claim.side(0)
    }


def topics(*texts: str | tuple[str, int], votes: dict[str, int] | None = None) -> Topics:
    pairs = [text if isinstance(text, tuple) else (text, None) for text in texts]
    return gather([reading(*pair, name=str(at)) for at, pair in enumerate(pairs)], votes or {})


def told(side: tuple[Topic, ...]) -> dict[str, int]:
    return {topic.name: topic.count for topic in side}


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("Светит очень ярко", "яркость"),
        ("доставка быстрая", "доставка"),
        ("удобный пульт", "пульт"),
        ("Запаха нет", "запах"),
        ("без посторонних запахов", "запах"),
        ("С упаковкой никаких проблем", "упаковка"),
        ("Не дорого!", "цена"),
        ("Претензий к качеству нету", "качество"),
        ("Вмятин на коробке не обнаружила", "упаковка"),
        ("всё работает", "исправность"),
        ("Ребёнок в восторге", "впечатление детей"),
        ("красиво", "внешний вид"),
    ],
)
def test_praise_is_of_what_it_names(text: str, aspect: str) -> None:
    assert sides(text, 5) == {(1, aspect)}


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("Пульт не работает", "пульт"),
        ("коробка пришла мятая", "упаковка"),
        ("Упаковка ужасная", "упаковка"),
        ("быстро сломалась кнопка", "кнопка"),
        ("не очень удобная ручка", "ручка"),
        ("Дорого", "цена"),
        ("качество оставляет желать лучшего", "качество"),
        ("Недостатки: провод короткий", "провод"),
    ],
)
def test_blame_is_of_what_it_names(text: str, aspect: str) -> None:
    assert sides(text, 1) == {(-1, aspect)}


@pytest.mark.parametrize(
    "text",
    [
        "Отличный товар",
        "Всё супер, спасибо!",
        "Хороший ночник",
        "Достоинства: всё Недостатки: нет",
        "Недостатки: не нашла",
        "Недостатки: минусов нет",
        "Купила в подарок внуку на день рождения",
        "Ночью на потолке",
        "Если бы кнопка работала",
        "Рекомендую к покупке!",
        "Достоинства: купила ребёнку",
        "Ставлю пять звёзд",
        "👍👍👍",
        "ок",
    ],
)
def test_what_speaks_of_nothing_in_particular_is_no_aspect(text: str) -> None:
    assert sides(text, 5) == set()


def test_but_turns_the_side() -> None:
    assert sides("Экран яркий, но звук ужасный", 3) == {(1, "экран"), (-1, "звук")}
    assert sides("Персонал вежливый, зато кухня отвратительная", 3, subject=CAFE) == {
        (1, "обслуживание"),
        (-1, "кухня"),
    }


def test_a_heading_tells_the_side_of_what_stands_under_it() -> None:
    text = "Достоинства: дизайн, размер Недостатки: шнур, инструкция Комментарий: подсветка"
    assert sides(text, 3) == {(1, "внешний вид"), (1, "размер"), (-1, "шнур"), (-1, "инструкция")}


def test_a_heading_does_not_reach_to_the_end_of_a_long_story() -> None:
    story = "Минусы: шнур. Потом пришли гости. Все сели за ужин. Нам включили музыку. Дальше играла музыка"
    assert sides(story, 3, subject=CAFE) == {(-1, "шнур")}
    assert all(claim.points == 0 for claim in reading(story, 3, subject=CAFE).claims[1:])


def test_words_outweigh_the_heading_they_stand_under() -> None:
    (claim,) = reading("Достоинства: пульт не работает", 1).claims
    assert (claim.side(1), claim.side(-1)) == (0, -1)
    (claim,) = reading("Недостатки: упаковка отличная", 5).claims
    assert (claim.side(1), claim.side(-1)) == (1, 0)


def test_a_bare_complaint_in_a_review_of_five_stars_needs_more_than_the_model() -> None:
    (claim,) = [*reading("Провод короче, чем на фото. Звук слабый", 5).claims]
    assert {named.key for named in claim.named} == {"звук"}
    assert claim.side(1) == 0
    assert claim.side(-1) == -1


def test_the_model_decides_where_the_other_witnesses_do_not() -> None:
    (claim,) = reading("Свет горит одним цветом", 3).claims
    assert claim.open
    assert (claim.side(1), claim.side(0), claim.side(-1)) == (0, 0, -1)


def test_the_subjects_own_words_are_no_aspects() -> None:
    assert sides("Проектор замечательный", 5) == set()
    assert sides("Проектор замечательный", 5, subject=CAFE) == {(1, "проектор")}
    assert sides("Приятный продавец", 5, subject=SHOP) == set()
    assert sides("Приятный продавец", 5) == {(1, "продавец")}


@pytest.mark.parametrize(
    ("text", "rating", "contradictory"),
    [
        ("Не работает, сломался сразу", 5, True),
        ("Отличная вещь, всё понравилось", 1, True),
        ("Отличная вещь, всё понравилось", 2, True),
        ("Отличная вещь", 5, False),
        ("Сломался", 1, False),
        ("Отличный, но пульт сломался", 5, False),
        ("Хотелось бы побольше", 5, False),
        ("Сломался", None, False),
        ("Купила мужу", 1, False),
    ],
)
def test_stars_against_words_are_a_contradiction(text: str, rating: int | None, contradictory: bool) -> None:
    assert reading(text, rating).contradictory is contradictory


def test_an_aspect_stands_on_two_reviews() -> None:
    found = topics("Яркий свет. Свет очень приятный!", "Удобный пульт", "Пульт отличный")
    assert told(found.pros) == {"пульт": 2}
    assert found.cons == ()


def test_an_aspect_may_stand_on_both_sides() -> None:
    found = topics("Пульт удобный", "Хороший пульт", ("Пульт не работает", 1), ("Сломался пульт", 1))
    assert told(found.pros) == told(found.cons) == {"пульт": 2}


def test_different_words_for_one_thing_are_counted_together() -> None:
    found = topics("Быстрая доставка", "Курьер вежливый", "Привезли вовремя", "Недорого", "Цена приятная")
    assert told(found.pros) == {"доставка": 3, "цена": 2}


def test_a_small_form_is_counted_with_its_word() -> None:
    assert diminutives({"звездочка", "звезда", "кнопка", "точка"}) == {"звездочка": "звезда"}
    found = topics("Звёздочки красивые", "Красивые звезды", "Звёзды супер")
    assert told(found.pros) == {"звёзды": 3}


def test_no_more_than_eight_aspects_a_side_the_most_frequent_first() -> None:
    things = ["звук", "экран", "пульт", "кнопка", "ручка", "чехол", "ремень", "замок", "крышка", "шнур"]
    texts = [f"{thing} хороший {number}" for at, thing in enumerate(things) for number in range(2 + at)]
    counts = [topic.count for topic in topics(*texts).pros]
    assert counts == [11, 10, 9, 8, 7, 6, 5, 4]


def test_quotes_are_whole_sentences_of_different_reviews() -> None:
    found = topics(
        "Брала сыну. Светит очень ярко, и не шумит!  Спасибо.", "Яркий — то, что надо…", "Ярко.", "Очень ярко"
    )
    (topic,) = [one for one in found.pros if one.name == "яркость"]
    assert topic.count == 4
    assert len({review for review, _ in topic.quotes}) == len(topic.quotes) == 3
    assert ("0", "Светит очень ярко, и не шумит!") in topic.quotes


def test_a_quote_says_nothing_of_the_other_side() -> None:
    found = topics("Экран яркий, но звук ужасный", "Экран отличный", "Звук ужасный, хрипит")
    quotes = {text for topic in (*found.pros, *found.cons) for _, text in topic.quotes}
    assert "Экран яркий" in quotes
    assert "но звук ужасный" in quotes


@pytest.mark.parametrize(
    "secret", ["пишите +7 916 123-45-67", "мой телеграм @olga_shop", "сайт olga-shop.ru"]
)
def test_a_quote_carries_no_contacts(secret: str) -> None:
    (topic,) = topics(f"Отличный звук, {secret}", f"Звук отличный {secret}", "Хороший звук").pros
    assert topic.count == 3
    assert {text for _, text in topic.quotes} <= {"Отличный звук", "Хороший звук"}


def test_an_obscene_word_is_neither_quoted_nor_an_aspect() -> None:
    found = topics("Отличный звук, пиздец как хорош", "Звук отличный")
    assert [text for topic in found.pros for _, text in topic.quotes] == ["Звук отличный"]


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "Отличный звук",
                "не работает",
                "пульт",
                " но ",
                ", ",
                ". ",
                "Достоинства:",
                "Недостатки: ",
                "🙂",
                "\x00",
            ]
        ),
        st.text(max_size=8),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=150)
@given(st.lists(st.tuples(TEXTS, st.sampled_from([None, 1, 3, 5])), max_size=6))
def test_whatever_is_written_every_quote_is_verbatim(reviews: list[tuple[str, int | None]]) -> None:
    found = gather([reading(*pair, name=str(at)) for at, pair in enumerate(reviews)], {})
    for topic in (*found.pros, *found.cons):
        assert topic.count >= 2
        for review, text in topic.quotes:
            assert 0 < len(text) <= QUOTE_CHARS
            assert text in reviews[int(review)][0]


def test_a_word_without_end_and_a_text_without_punctuation_do_no_harm() -> None:
    endless = "а" * 20_000
    found = topics(f"Отличный звук {endless}", f"Отличный звук {'очень ' * 3000}", "Звук отличный")
    assert told(found.pros) == {"звук": 3}
    assert all(len(text) <= QUOTE_CHARS for topic in found.pros for _, text in topic.quotes)
