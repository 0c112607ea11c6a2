"""Captions: from cosines to labels that are sure, from labels to Russian words."""

import math
from array import array

import pytest

from models.eyes import Bank, Banks, BankSettings, Item, load_banks
from service.captions import Captions, Label
from service.morphology import agreed

GOODS = load_banks("goods")


def captions(banks=GOODS, **calibration):
    sure = BankSettings(temperature=0.01, threshold=0.0)
    return Captions(banks, calibration or dict.fromkeys(banks.banks, sure))


def cosines(several, **found):
    """Return cosines that are 0.2 everywhere but at the labels named, by bank."""
    row = []
    for bank, settings in several._calibration.items():
        names = settings.labels or GOODS.banks[bank].items
        row += [found.get(bank, {}).get(name, 0.2) for name in names]
    return array("f", row)


def test_label_has_the_softmax_of_its_own_bank():
    calibration = {
        "kind": BankSettings(temperature=0.05, threshold=0.1),
        "colour": BankSettings(temperature=0.1, threshold=0.1),
    }
    several = captions(**calibration)
    look = several.look(cosines(several, kind={"юбка": 0.5, "платье": 0.4}, colour={"синий": 0.6}))
    others = len(GOODS.banks["kind"].items) - 2
    kind = 1 / (1 + math.exp(-0.1 / 0.05) + others * math.exp(-0.3 / 0.05))
    colour = 1 / (1 + (len(GOODS.banks["colour"].items) - 1) * math.exp(-0.4 / 0.1))
    assert look.labels == (
        Label("kind", "юбка", pytest.approx(kind, rel=1e-5)),
        Label("colour", "синий", pytest.approx(colour, rel=1e-5)),
    )
    assert (look.text, look.reason) == ("синяя юбка", None)


@pytest.mark.parametrize(("threshold", "said"), [(0.72, True), (0.74, False)])
def test_bank_below_its_threshold_abstains(threshold, said):
    settings = BankSettings(temperature=0.1, threshold=threshold, labels=("юбка", "платье"))
    several = captions(kind=settings)  # the score is 1 / (1 + e ** -1) = 0.731
    look = several.look(cosines(several, kind={"юбка": 0.4, "платье": 0.3}))
    assert [label.name for label in look.labels] == ["юбка"] * said
    assert look.text == ("юбка" if said else None)


@pytest.mark.parametrize(("cosine", "said"), [(0.39, True), (0.41, False)])
def test_photo_that_is_like_no_label_has_none_however_the_labels_compare(cosine, said):
    several = captions(kind=BankSettings(temperature=0.01, threshold=0.5, cosine=cosine))
    look = several.look(cosines(several, kind={"юбка": 0.4}))
    assert [label.name for label in look.labels] == ["юбка"] * said


def test_label_that_the_model_was_not_taught_is_not_offered():
    taught = ("юбка", "платье", "брюки")
    several = captions(kind=BankSettings(temperature=0.01, threshold=0.5, labels=taught))
    assert several.texts == [GOODS.banks["kind"].texts()[name] for name in taught]
    assert several.look(array("f", [0.1, 0.2, 0.9])).text == "брюки"


def test_equal_cosines_and_extreme_ones_do_no_harm():
    several = captions(kind=BankSettings(temperature=1e-4, threshold=0.5))
    assert several.look(cosines(several)).labels == ()
    assert several.look(cosines(several, kind={"юбка": 1.0, "платье": -1.0})).text == "юбка"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"kind": "толстовка", "colour": "синий"}, "синяя толстовка с капюшоном"),
        ({"kind": "платье", "colour": "чёрный"}, "чёрное платье"),
        ({"kind": "брюки", "colour": "зелёный"}, "зелёные брюки"),
        ({"kind": "часы", "colour": "белый"}, "белые часы"),
        ({"kind": "поло", "colour": "жёлтый"}, "жёлтая рубашка-поло"),
        ({"kind": "боди", "colour": "розовый"}, "розовое боди"),
        ({"kind": "верхняя одежда", "colour": "бежевый"}, "бежевая верхняя одежда"),
        ({"kind": "инвалидная коляска", "colour": "синий"}, "синяя инвалидная коляска"),
        ({"kind": "ролики", "colour": "красный"}, "красные роликовые коньки"),
        ({"category": "обувь", "kind": "обувь"}, "обувь"),
        ({"category": "одежда", "colour": "голубой"}, "голубая одежда"),
        ({"category": "одежда", "kind": "пиджак"}, "пиджак"),
        ({"colour": "синий"}, "синий предмет"),
        ({"material": "кожа"}, "предмет из кожи"),
        (
            {"kind": "рубашка", "pattern": "в клетку", "material": "трикотаж"},
            "рубашка в клетку, из трикотажа",
        ),
        ({"kind": "юбка", "pattern": "однотонный"}, "юбка"),
        ({"kind": "юбка", "condition": "следы носки", "view": "сзади"}, "юбка; видны следы носки; вид сзади"),
        ({"view": "сбоку"}, "вид сбоку"),
        ({"view": "спереди"}, None),
        ({}, None),
    ],
)
def test_labels_in_words(names, text):
    assert captions().text(names) == text


def test_every_label_of_the_shipped_bank_can_be_said_with_every_colour():
    several = captions()
    for kind in GOODS.banks["kind"].items:
        for colour in GOODS.banks["colour"].items:
            text = several.text({"kind": kind, "colour": colour})
            assert text.split()[0][-2:] in {"ый", "ий", "ой", "ая", "яя", "ое", "ее", "ые", "ие"}
            assert text.split()[0][:3] == colour[:3]


def test_caption_that_begins_with_another_word_agrees_with_the_head():
    kinds = {
        "стул": Item(phrases=("стул",)),
        "кресло": Item(phrases=("кресло",), caption="старое кресло", head="кресло"),
    }
    kind = Bank(form="noun", templates=("{phrase}",), items=kinds)
    banks = Banks(banks={"kind": kind, "colour": GOODS.banks["colour"]})
    assert captions(banks).text({"kind": "кресло", "colour": "белый"}) == "белое старое кресло"


@pytest.mark.parametrize(
    ("adjective", "noun", "said"),
    [
        ("синий", "куртка", "синяя"),
        ("синий", "пальто", "синее"),
        ("чёрный", "шорты", "чёрные"),
        ("лёгкий", "лонгслив", "лёгкий"),
        ("хаки", "куртка", "хаки"),
        ("синий", "xyz", "синий"),
    ],
)
def test_adjective_agrees_with_its_noun(adjective, noun, said):
    assert agreed(adjective, noun) == said
