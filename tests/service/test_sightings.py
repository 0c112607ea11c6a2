"""Several photos against the seller's word: the photos vote, the seller wins, what contradicts is told."""

import pytest

from models.eyes import BankSettings, load_banks
from service.captions import Captions, Label, Look
from service.sightings import Contradiction, merged

GOODS = load_banks("goods")
CAPTIONS = Captions(GOODS, dict.fromkeys(GOODS.banks, BankSettings(temperature=0.01, threshold=0.5)))


def look(score=0.9, **labels):
    return Look(labels=tuple(Label(bank, name, score) for bank, name in labels.items()))


def seen(*looks, title="Продам", category=None, **params):
    return merged(looks, CAPTIONS, title=title, category=category, params=params)


def denied(found):
    return [(one.label.name, one.field) for one in found.contradictions]


def test_photos_of_one_listing_make_one_caption():
    found = seen(look(kind="толстовка", colour="синий"), look(colour="синий"), look(kind="толстовка"), Look())
    assert found.text == "на фото: синяя толстовка с капюшоном"
    assert found.labels == (Label("kind", "толстовка", 0.9), Label("colour", "синий", 0.9))
    assert found.contradictions == ()


def test_votes_weigh_as_much_as_their_scores():
    assert (
        seen(look(0.9, kind="юбка"), look(0.4, kind="брюки"), look(0.4, kind="брюки")).text == "на фото: юбка"
    )
    assert (
        seen(look(0.7, kind="юбка"), look(0.4, kind="брюки"), look(0.4, kind="брюки")).text
        == "на фото: брюки"
    )


def test_photos_that_disagree_say_nothing_together():
    assert seen(look(kind="юбка"), look(kind="брюки")).text is None
    found = seen(look(kind="юбка"), look(kind="брюки"), look(kind="обувь"), look(colour="белый"))
    assert (found.text, [label.name for label in found.labels]) == (None, ["белый"])


def test_score_of_several_photos_is_their_mean():
    found = seen(look(0.6, kind="юбка"), look(0.8, kind="юбка"), look(0.2, kind="брюки"))
    assert found.labels[0].score == pytest.approx(0.7)


def test_no_photo_and_no_label_make_no_caption():
    assert seen().text is None
    assert seen(Look(), Look(reason="captions_timeout")).text is None


def test_views_of_several_photos_are_not_told():
    assert seen(look(kind="юбка", view="сзади")).text == "на фото: юбка; вид сзади"
    assert seen(look(kind="юбка", view="сзади"), look(view="сзади")).text == "на фото: юбка"


@pytest.mark.parametrize("said", ["Синий", "тёмно-синяя", "СИНЕГО цвета", "джинсовый"])
def test_what_the_seller_says_too_stays(said):
    found = seen(look(kind="юбка", colour="синий"), Цвет=said)
    assert (found.text, found.contradictions) == ("на фото: синяя юбка", ())


def test_colour_that_the_seller_denies_is_left_out_and_told():
    found = seen(look(kind="юбка", colour="синий"), title="Юбка", Цвет="Красный")
    assert found.text == "на фото: юбка"
    assert found.contradictions == (Contradiction(Label("colour", "синий", 0.9), "Цвет", "Красный"),)


@pytest.mark.parametrize("said", ["голубая", "мультиколор", "как на фото"])
def test_colour_close_to_the_sellers_or_unknown_is_left_out_in_silence(said):
    found = seen(look(kind="юбка", colour="синий"), Цвет=said)
    assert (found.text, found.contradictions) == ("на фото: юбка", ())


def test_empty_parameter_says_nothing():
    assert seen(look(kind="юбка", colour="синий"), Цвет=" ").text == "на фото: синяя юбка"


def test_name_of_the_parameter_is_read_in_any_spelling():
    assert denied(seen(look(colour="синий"), **{" ЦВЕТ  товара": "Красный"})) == [("синий", " ЦВЕТ  товара")]


@pytest.mark.parametrize("title", ["Худи Nike", "Тёплая кофта", "толстовки детские", "Толстовку с капюшоном"])
def test_kind_that_the_title_names_too_stays(title):
    found = seen(look(kind="толстовка", colour="синий"), title=title)
    assert (found.text, found.contradictions) == ("на фото: синяя толстовка с капюшоном", ())


@pytest.mark.parametrize("title", ["Футболка Nike", "Туфли"])
def test_photos_of_another_thing_than_the_titles_say_nothing(title):
    found = seen(look(kind="брюки", colour="синий"), title=title, category="Одежда, обувь, аксессуары")
    assert (found.text, denied(found)) == (None, [("брюки", "title")])


def test_kind_and_category_that_the_title_denies_are_both_told():
    found = seen(look(category="одежда", kind="брюки", colour="синий"), title="Ноутбук Acer")
    assert (found.text, denied(found)) == (None, [("одежда", "title"), ("брюки", "title")])


@pytest.mark.parametrize(
    ("labels", "title", "text"),
    [
        ({"category": "одежда", "colour": "серый"}, "Платье летнее", "на фото: серое платье"),
        ({"kind": "лонгслив", "colour": "синий"}, "Футболка", "на фото: синяя футболка"),
        ({"category": "одежда"}, "Платье летнее", None),
        ({"category": "светильник", "colour": "белый"}, "Подсвечник кованый", "на фото: белый подсвечник"),
        ({"category": "посуда и интерьер", "colour": "белый"}, "Самовар угольный", None),
        ({"colour": "чёрный"}, "Чехол для ноутбука", None),
        ({"category": "одежда", "colour": "серый"}, "Продам недорого", "на фото: серая одежда"),
        ({"colour": "коричневый"}, "Продам недорого", None),
    ],
)
def test_where_no_kind_is_seen_the_sellers_noun_serves_or_where_there_is_none_the_category(
    labels, title, text
):
    assert seen(look(**labels), title=title).text == text


def test_colour_of_the_title_counts_and_a_parameter_counts_more():
    blue = look(kind="юбка", colour="синий")
    assert denied(seen(blue, title="Красная юбка")) == [("синий", "title")]
    assert denied(seen(blue, title="Красная юбка", Цвет="Синий")) == []


@pytest.mark.parametrize("category", ["Велосипеды", "Собаки", "Мебель и интерьер", "Ноутбуки"])
def test_kind_in_a_category_where_it_does_not_belong_is_left_out_and_told(category):
    found = seen(look(kind="юбка"), category=category)
    assert found.text is None
    assert denied(found) == [("юбка", "category")]


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        ("юбка", "Одежда, обувь, аксессуары"),
        ("юбка", "Детская одежда и обувь"),
        ("юбка", "Личные вещи"),
        ("рояль", "Музыкальные инструменты"),
        ("люстра", "Мебель и интерьер"),
        ("ноутбук", "Ноутбуки"),
        ("часы", "Часы и украшения"),
        ("мотоцикл", "Мотоциклы и мототехника"),
        ("зонт", "Одежда, обувь, аксессуары"),
        ("бинокль", "Охота и рыбалка"),
        ("чашка", "Посуда и товары для кухни"),
        ("инвалидная коляска", "Красота и здоровье"),
    ],
)
def test_kind_in_its_category_stays(kind, category):
    found = seen(look(kind=kind), category=category)
    assert found.contradictions == ()
    assert kind in found.text


def test_parameter_of_the_kind_that_says_nothing_of_it_leaves_the_word_to_the_title():
    found = seen(look(kind="юбка"), title="Юбка", **{"Тип товара": "для женщин"})
    assert found.text == "на фото: юбка"


def test_wear_that_the_seller_denies_is_told():
    found = seen(look(kind="юбка", condition="следы носки"), title="Юбка", Состояние="Новое с биркой")
    assert (found.text, denied(found)) == ("на фото: юбка", [("следы носки", "Состояние")])


def test_banks_without_categories_or_kinds_are_compared_as_far_as_they_go():
    colours = GOODS.model_copy(update={"banks": {"colour": GOODS.banks["colour"]}})
    captions = Captions(colours, {"colour": BankSettings(temperature=0.01, threshold=0.5)})
    found = merged([look(colour="синий")], captions, title="Красный ноутбук", category="Ноутбуки", params={})
    assert (found.text, denied(found)) == (None, [("синий", "title")])
