"""The measured colour: of the middle, named as people do, none for what has several."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from models.eyes import load_banks
from training.clip.colour import ANCHORS, colour_shares, measure


def thing(colour: tuple[int, int, int], *, ground: tuple[int, int, int] = (250, 250, 250)) -> Image.Image:
    image = Image.new("RGB", (120, 160), ground)
    ImageDraw.Draw(image).rectangle((20, 20, 100, 140), fill=colour)
    return image


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((12, 12, 14), "чёрный"),
        ((248, 248, 246), "белый"),
        ((128, 128, 130), "серый"),
        ((190, 25, 35), "красный"),
        ((100, 20, 35), "красный"),
        ((20, 30, 90), "синий"),
        ((150, 195, 235), "голубой"),
        ((40, 120, 60), "зелёный"),
        ((245, 210, 50), "жёлтый"),
        ((100, 65, 40), "коричневый"),
        ((215, 195, 165), "бежевый"),
        ((240, 165, 185), "розовый"),
        ((110, 60, 150), "фиолетовый"),
        ((240, 130, 35), "оранжевый"),
    ],
)
def test_plain_things_have_the_colour_people_call_them_by(colour: tuple[int, int, int], name: str) -> None:
    assert measure(thing(colour)) == name


def test_names_are_the_banks() -> None:
    assert ANCHORS.keys() == load_banks("goods").banks["colour"].items.keys()


def test_ground_does_not_count() -> None:
    assert measure(thing((30, 40, 85), ground=(205, 30, 40))) == "синий"


def test_white_in_a_dim_room_is_white_beside_what_is_brighter_or_not() -> None:
    assert measure(thing((185, 185, 184), ground=(140, 60, 50))) == "белый"
    assert measure(thing((150, 150, 152), ground=(250, 250, 250))) == "серый"


def test_stripes_and_halves_have_no_one_colour() -> None:
    striped = thing((250, 250, 250))
    draw = ImageDraw.Draw(striped)
    for row in range(0, 160, 8):
        draw.rectangle((0, row, 120, row + 3), fill=(30, 40, 85))
    assert measure(striped) is None
    halves = thing((205, 30, 40))
    ImageDraw.Draw(halves).rectangle((60, 0, 120, 160), fill=(50, 135, 65))
    assert measure(halves) is None
    assert measure(halves, least=0.4) in {"красный", "зелёный"}


def test_shares_add_up_whatever_the_size() -> None:
    for size in ((1, 1), (3, 200), (640, 480)):
        assert sum(colour_shares(Image.new("RGB", size, (90, 20, 200))).values()) == pytest.approx(1)
