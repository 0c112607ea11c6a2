"""Caption cards and banks: good ones are read whole, bad ones refused in one line that says where and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import CardError
from models.eyes import BANKS, EYES, load_banks, load_caption_card
from models.section import stems

CARD = f"""
name = "tiny-eyes"
base = "org/tiny"
licence = "Apache-2.0"
data = "фотографии"
weights = "hf://org/tiny@v1"
banks = "goods"
git_sha = "0123abc"

[weights_sha256]
"open_clip_config.json" = "{"a" * 64}"
"open_clip_model.safetensors" = "{"b" * 64}"

[calibration.kind]
temperature = 0.02
threshold = 0.7
labels = ["юбка", "брюки"]

[calibration.colour]
temperature = 0.05
threshold = 0.5
cosine = 0.2

[[evaluation]]
name = "top1"
value = 0.9
n = 500
commit = "0123abc"
hardware = "2 cores"
date = 2026-11-23
"""

BANK = """
[banks.category]
form = "noun"
templates = ["{phrase}"]
[banks.category.items."одежда"]
phrases = ["одежда"]
[banks.category.items."обувь"]
phrases = ["обувь"]

[banks.kind]
form = "noun"
templates = ["{phrase}", "на фото {phrase}"]
[banks.kind.items."юбка"]
phrases = ["юбка", "мини-юбка"]
category = "одежда"
near = ["брюки"]
[banks.kind.items."брюки"]
phrases = ["брюки"]
"""


def card(folder: Path, text: str = CARD) -> Path:
    path = folder / "tiny-eyes.toml"
    path.write_text(text, encoding="utf-8")
    return path


def banks(folder: Path, text: str = BANK) -> Path:
    path = folder / "things.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", stems(EYES))
def test_every_card_is_read_with_its_banks(name: str) -> None:
    assert load_caption_card(name).calibration


@pytest.mark.parametrize("name", stems(BANKS))
def test_every_bank_is_read(name: str) -> None:
    assert load_banks(name).banks


def test_good_card_is_read_whole(tmp_path: Path) -> None:
    found = load_caption_card(card(tmp_path))
    assert found.calibration["kind"].labels == ("юбка", "брюки")
    assert (found.calibration["colour"].threshold, found.calibration["colour"].cosine) == (0.5, 0.2)
    assert found.calibration["kind"].cosine == -1
    assert found.evaluation[0].value == 0.9


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "tiny-eyes"', 'name = "other"', "name: is 'other', but the file is called 'tiny-eyes'"),
        ('licence = "Apache-2.0"', "", "licence: is missing"),
        (
            "threshold = 0.7",
            "treshold = 0.7",
            "calibration.kind.treshold: unknown key, did you mean threshold?",
        ),
        (
            "threshold = 0.7",
            "threshold = 1.5",
            "calibration.kind.threshold: input should be less than or equal",
        ),
        (
            "temperature = 0.02",
            "temperature = 0",
            "calibration.kind.temperature: input should be greater than 0",
        ),
        ("[calibration.colour]", "[calibration.color]", "calibration.color"),
        ('"брюки"]', '"штаны"]', "calibration.kind.labels: goods has no штаны"),
        ('"юбка", "брюки"', '"юбка"', "calibration.kind.labels: "),
        (
            'banks = "goods"',
            'banks = "good"',
            "good.toml: there is no such file of banks, did you mean goods?",
        ),
        (
            "hf://org/tiny@v1",
            "package://eyes@1/model.bin",
            "weights: package://eyes@1/model.bin is a single file",
        ),
        ("hf://org/tiny@v1", "https://org/tiny", "weights: https://org/tiny: unknown scheme"),
        (
            "open_clip_model.safetensors",
            "open_clip_model.bin",
            "weights_sha256: open_clip_model.safetensors is not listed",
        ),
        ("open_clip_config.json", "../open_clip_config.json", "is not a plain relative path"),
        ('"bbbb', '"xbbb', "weights_sha256"),
        ('name = "tiny-eyes"', "name = ", "not TOML"),
    ],
)
def test_bad_card_is_refused_with_its_place(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in CARD
    path = card(tmp_path, CARD.replace(old, new, 1))
    with pytest.raises(CardError) as caught:
        load_caption_card(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_card_without_any_calibration_is_refused(tmp_path: Path) -> None:
    text = CARD[: CARD.index("[calibration.kind]")]
    with pytest.raises(CardError, match="calibration: is missing"):
        load_caption_card(card(tmp_path, text))


def test_card_that_is_not_there_is_refused() -> None:
    with pytest.raises(CardError, match=r"no-such\.toml: there is no such card"):
        load_caption_card("no-such")


def test_texts_are_every_phrase_in_every_template(tmp_path: Path) -> None:
    kind = load_banks(banks(tmp_path)).banks["kind"]
    assert kind.texts() == {
        "юбка": ("юбка", "мини-юбка", "на фото юбка", "на фото мини-юбка"),
        "брюки": ("брюки", "на фото брюки"),
    }


def test_labels_are_near_both_ways(tmp_path: Path) -> None:
    several = load_banks(banks(tmp_path)).banks
    assert several["kind"].are_near("юбка", "брюки")
    assert several["kind"].are_near("брюки", "юбка")
    assert several["kind"].are_near("юбка", "юбка")
    assert not several["category"].are_near("одежда", "обувь")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('near = ["брюки"]', 'near = ["штаны"]', "items.юбка.near: there is no штаны in this bank"),
        ('category = "одежда"', 'category = "платья"', "there is no платья in the bank of categories"),
        ('"на фото {phrase}"', '"на фото"', "banks.kind.templates.1"),
        ('"на фото {phrase}"', '"{phrase} {phrase}"', "banks.kind.templates.1"),
        ('phrases = ["брюки"]', "phrases = []", "banks.kind.items.брюки.phrases"),
        ('phrases = ["брюки"]', 'phrases = ["юбка"]', "banks.kind: two labels have the text 'юбка'"),
        ('phrases = ["брюки"]', 'frases = ["брюки"]', "frases: unknown key, did you mean phrases?"),
        ("[banks.kind]", "[banks.kinds]", "banks.kinds"),
        ('form = "noun"', 'form = "verb"', "banks.category.form"),
    ],
)
def test_bad_bank_is_refused_with_its_place(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in BANK
    with pytest.raises(CardError) as caught:
        load_banks(banks(tmp_path, BANK.replace(old, new, 1)))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
