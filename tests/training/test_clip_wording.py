"""Captions: Russian forms that agree, and what each of them says."""

from __future__ import annotations

import random

import pytest
import torch

from models.eyes import load_banks
from training.clip.lessons import Lessons
from training.clip.photos import Photo
from training.clip.wording import Caption, Captioner


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner(load_banks("goods"))


@pytest.mark.parametrize(
    ("kind", "colour", "said"),
    [
        ("футболка", "синий", "на фото синяя футболка с коротким рукавом"),
        ("брюки", "чёрный", "чёрные брюки"),
        ("поло", "зелёный", "зелёное поло"),
        ("ноутбук", "серый", "открытый ноутбук серого цвета"),
        ("боди", "белый", "боди белого цвета"),
        ("толстовка", "красный", "бордовая толстовка с капюшоном"),
    ],
)
def test_colours_agree_with_the_thing(captioner: Captioner, kind: str, colour: str, said: str) -> None:
    assert said in captioner.of_both(kind, colour)


def test_words_whose_gender_no_dictionary_knows_get_no_adjective(captioner: Captioner) -> None:
    said = captioner.of_both("лонгслив", "синий")
    assert not [text for text in said if "синий лонгслив" in text or "синяя лонгслив" in text]
    assert "лонгслив синего цвета" in said


def test_cases_are_right(captioner: Captioner) -> None:
    said = captioner.of_kind("рубашка")
    assert {"продаю рубашку", "фото рубашки", "снимок сорочки", "это рубашка"} <= set(said)
    assert "снимок пары ножниц" in captioner.of_kind("ножницы")


def test_no_template_is_left_unfilled(captioner: Captioner) -> None:
    texts = captioner.every_text()
    assert len(set(texts)) > 10_000
    assert not [text for text in texts if "{" in text or not text.strip()]


def test_what_is_drawn_is_true_and_says_what_it_says(captioner: Captioner) -> None:
    chance = random.Random(3)
    drawn = [captioner.draw("платье", "красный", chance=chance) for _ in range(300)]
    category = captioner.category("платье")
    assert all(one.is_true_of(kind="платье", category=category, colour="красный") for one in drawn)
    assert {(one.kind, one.category, one.colour) for one in drawn} == {
        ("платье", None, None),
        (None, "одежда", None),
        (None, None, "красный"),
        ("платье", None, "красный"),
    }
    plain = [captioner.draw("платье", None, chance=chance) for _ in range(50)]
    assert {one.colour for one in plain} == {None}


def test_a_colour_said_is_not_true_of_a_photo_without_one() -> None:
    caption = Caption("синяя юбка", kind="юбка", colour="синий")
    assert caption.is_true_of(kind="юбка", category="одежда", colour="синий")
    assert not caption.is_true_of(kind="юбка", category="одежда", colour=None)
    assert not caption.is_true_of(kind="платье", category="одежда", colour="синий")


def test_a_lesson_knows_each_photos_own_caption_and_each_banks_answer() -> None:
    shown = [("юбка", "синий"), ("часы", None), ("юбка", "красный"), ("платье", "синий")]
    photos = [Photo(f"a/{at}", kind, kind, "taught", "train") for at, (kind, _) in enumerate(shown)]
    photos.append(Photo("a/4", "зонт", "зонт", "unknown", "test"))
    colours = {f"a/{at}": colour for at, (_, colour) in enumerate(shown)} | {"a/4": "белый"}
    lessons = Lessons(photos, colours, banks=load_banks("goods"))
    assert lessons.labels["kind"] == ["платье", "часы", "юбка"]
    assert lessons.labels["colour"] == ["красный", "синий"]
    lesson = lessons.draw([0, 1, 2, 3], chance=random.Random(1))
    assert lesson.true.diagonal().all()
    first, last, answers = lesson.banks["kind"]
    assert answers.tolist() == [2, 1, 2, 0]
    assert last - first == 3
    assert torch.equal(lesson.banks["colour"][2], torch.tensor([1, -1, 0, 1]))
    assert len(lesson.texts) == max(last for _, last, _ in lesson.banks.values())
