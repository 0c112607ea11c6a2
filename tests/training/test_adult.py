"""Texts for adults are told by their words, at the words' beginnings alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.cleaning.adult import find_adult
from training.cleaning.profiles import load_profiles
from training.dialogues.reading import read_dialogues


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Ты что, ДУРА?", "slurs"),
        ("Опять напился водки", "drugs"),
        ("Смотрел порнофильм", "sex"),
        ("Я его убью!", "violence"),
        ("Продаю дуршлаг и сукно, потребуется суконный платок", None),
        ("Учебник по истории, ребёнок доволен, колебания температуры", None),
        ("Застрахуем страх, хлебушек, употребляет", None),
        ("Команда, мандарин, манданый", None),
    ],
)
def test_a_word_counts_from_its_beginning(text: str, kind: str | None) -> None:
    assert find_adult(text) == kind


def test_the_profile_of_dialogues_asks_for_it_and_that_of_listings_does_not() -> None:
    profiles = load_profiles({})
    assert profiles["dialogues"].adult == "drop"
    assert profiles["listings"].adult == "keep"


def test_lines_without_roles_are_a_dialogue_whose_answers_are_trained(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    rows = [["Как дела?", "Хорошо."], ["Привет!", "Здравствуйте!", "Пока"], ["Один"]]
    path.write_text("\n".join(json.dumps({"dialogue": row}) for row in rows[:2]))
    found = [turns for _, turns in read_dialogues(path)]
    assert [[(turn.role, turn.trained) for turn in turns] for turns in found] == [
        [("user", False), ("assistant", True)]
    ] * 2
    assert [turn.content for turn in found[1]] == ["Привет!", "Здравствуйте!"]
