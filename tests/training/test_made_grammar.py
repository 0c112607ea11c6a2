"""Forms that are printed are right; what is not sure is not printed."""

from __future__ import annotations

import pytest

from training.made.grammar import agree, common, count, inflect, noun, turned


@pytest.mark.parametrize(
    ("phrase", "case", "expected"),
    [
        ("натуральная кожа", "gent", "натуральной кожи"),
        ("стиральная машина", "accs", "стиральную машину"),
        ("велосипед горный", "gent", "велосипеда горного"),
        ("ковёр ручной работы", "gent", "ковра ручной работы"),
        ("царапины на раме", "gent", "царапин на раме"),
        ("щенок", "accs", "щенка"),
        ("отличное", "loct", "отличном"),
        ("Россия", "gent", "России"),
        ("США", "gent", "США"),
        ("фонарь", "ablt", "фонарём"),
    ],
)
def test_phrase_is_inflected_whole(phrase: str, case: str, expected: str) -> None:
    assert inflect(phrase, case) == expected


@pytest.mark.parametrize("phrase", ["б/у", "XL", "26 дюймов", "хлопок и лён", "экофлобрина"])
def test_what_is_not_sure_is_not_inflected(phrase: str) -> None:
    assert inflect(phrase, "gent") is None


def test_adjectives_agree_in_gender_number_and_animacy() -> None:
    for head, plural, case, expected in [
        ("куртка", False, "accs", "тёмно-синюю"),
        ("кресло", False, "nomn", "тёмно-синее"),
        ("щенок", False, "accs", "тёмно-синего"),
        ("велосипед", False, "accs", "тёмно-синий"),
        ("брюки", True, "accs", "тёмно-синие"),
    ]:
        beside = noun(head, plural=plural)
        assert beside is not None
        assert agree("тёмно-синий", beside, case) == expected


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [
        ("1", "год", "1 год"),
        ("2", "год", "2 года"),
        ("5", "лет", "5 лет"),
        ("21", "предмет", "21 предмет"),
        ("1,5", "год", "1,5 года"),
        ("40", "см", "40 см"),
        ("3", "шт.", "3 шт."),
        ("7", "", "7"),
    ],
)
def test_number_governs_its_unit(number: str, unit: str, expected: str) -> None:
    assert count(number, unit) == expected


def test_noun_goes_behind_its_adjectives() -> None:
    assert turned("велосипед горный", head="велосипед", plural=False) == "горный велосипед"
    assert turned("ковёр ручной работы", head="ковёр", plural=False) == "ковёр ручной работы"


def test_names_keep_their_capitals() -> None:
    assert common("Футболки")
    assert not common("Россия")
