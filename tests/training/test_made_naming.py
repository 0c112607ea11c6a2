"""Made-up listings name what the service would offer, in the text's own spelling, and each kind is there."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from models.prompts import render
from service.labels import told_params
from service.tasks.candidates import candidates
from training.made.bestsellers import worded
from training.made.catalogue import CATALOGUE
from training.made.naming import make_namings
from training.made.shelf import shelf_of
from training.made.spelling import Name, find_typed, opens
from training.made.unnamed import accessory

Row = tuple[dict[str, Any], str]
OFFERED = 0.98  # of all answers, brand and models; what misses is told in the names' rules of the service
NUMBER = 300


@pytest.fixture(scope="module")
def made() -> list[Row]:
    return list(make_namings(NUMBER, name="test", seed=3))


def _params(fields: dict[str, Any]) -> dict[str, str]:
    return {label or f"Параметр {at}": value for at, (label, value) in enumerate(fields["params"])}


def _text(fields: dict[str, Any]) -> str:
    return "\n".join([fields["title"], *(value for _, value in fields["params"]), fields["description"]])


def test_answers_are_among_the_candidates_of_the_service(made: list[Row]) -> None:
    missed = []
    for fields, answer in made:
        chosen = json.loads(answer)
        found = candidates(
            title=fields["title"],
            params=_params(fields),
            description=fields["description"],
            category=fields["category"],
        )
        brands = [name for name in [chosen["brand"]] if name and name not in found.brands]
        if brands or set(chosen["models"]) - set(found.models):
            missed.append((fields["title"], answer))
    share = 1 - len(missed) / len(made)
    print(f"offered: {share:.4f} of {len(made)} answers")
    assert share >= OFFERED, missed


def test_names_are_spelled_as_in_the_listing(made: list[Row]) -> None:
    for fields, answer in made:
        chosen = json.loads(answer)
        for name in [chosen["brand"] or "", *chosen["models"]]:
            assert name in _text(fields), (fields, answer)


def test_answers_are_written_as_in_the_template(made: list[Row]) -> None:
    for _, answer in made:
        chosen = json.loads(answer)
        assert answer == json.dumps(chosen, ensure_ascii=False, separators=(",", ":"))
        assert list(chosen) == ["brand", "models"]
        assert chosen["brand"] != ""
        assert len(chosen["models"]) == len(set(chosen["models"])) <= 2


def test_shares_of_kinds(made: list[Row]) -> None:
    numbers = [len(json.loads(answer)["models"]) for _, answer in made]
    assert 0.25 < numbers.count(0) / len(made) < 0.42
    assert 0.02 < numbers.count(2) / len(made) < 0.09
    untitled = [
        answer
        for fields, answer in made
        if any(m not in fields["title"] for m in json.loads(answer)["models"])
    ]
    assert 0.02 < len(untitled) / len(made) < 0.1


def test_what_sells_most_is_there_under_its_own_name(made: list[Row]) -> None:
    """«iPhone 11 64gb» without its maker; most listings with an iPhone in them once sold something else."""
    found = [json.loads(a) for f, a in made if re.search(r"iphone|айфон", f["title"], re.IGNORECASE)]
    sold = [one for one in found if any(re.match(r"iphone|айфон", m.lower()) for m in one["models"])]
    assert len(sold) > 0.5 * len(found)
    assert any(one["brand"] is None for one in sold)


def test_long_titles_of_garments_end_with_their_brand() -> None:
    rng = random.Random(2)
    ads = [worded(shelf_of(CATALOGUE), rng) for _ in range(200)]
    assert not any(ad.models for ad in ads)
    branded = [ad for ad in ads if ad.brand]
    assert 0.7 < len(branded) / len(ads) < 0.9
    assert len({ad.brand for ad in branded}) > 100
    assert all(ad.brand and ad.brand in ad.listing.title[3:] for ad in branded)


def test_most_listings_without_a_model_still_put_the_question(made: list[Row]) -> None:
    none = [fields for fields, answer in made if answer.endswith('"models":[]}')]
    asked = [
        one
        for one in none
        if candidates(title=one["title"], params=_params(one), description=one["description"]).models
    ]
    assert len(asked) > 0.55 * len(none)


def test_capacity_and_colour_are_no_part_of_a_model(made: list[Row]) -> None:
    for _, answer in made:
        for model in json.loads(answer)["models"]:
            assert not re.search(r"\d\s?(?:гб|gb)\b|чёрн|бел(?:ый|ая)(?! ночь)", model.lower()), answer


def test_what_an_accessory_fits_is_not_its_model() -> None:
    rng = random.Random(7)
    ads = [accessory(shelf_of(CATALOGUE), rng) for _ in range(40)]
    assert sum(not ad.models for ad in ads) > 0.7 * len(ads)
    for ad in ads:
        for model in ad.models:
            fits = rf"(?i)(?:для|на|под|к|от) (?:\w+ )?{re.escape(model)}$"
            assert not re.search(fits, ad.listing.title), ad


def test_fields_are_those_of_the_prompt(made: list[Row]) -> None:
    same = sum(told_params(_params(fields)) == fields["params"] for fields, _ in made)
    assert same >= 0.97 * len(made)
    for fields, _ in made[:60]:
        shown = render("extract_model", "v2", fields)[-1]["content"]
        assert " ".join(fields["title"].split()) in shown


def test_same_seed_gives_the_same_rows() -> None:
    first, again = (list(make_namings(20, name="a", seed=1)) for _ in range(2))
    assert first == again
    assert first != list(make_namings(20, name="a", seed=2))


def test_a_number_of_one_or_two_digits_is_named_with_its_brand() -> None:
    assert opens("7524") and opens("iPhone 13") and not opens("3") and not opens("Pro 8x40")
    typed = find_typed(Name("Mazda", "3"), "MAZDA 3, 2012")
    assert typed is not None
    assert typed.name == Name("MAZDA", "MAZDA 3")


def test_small_letters_of_a_word_are_no_name() -> None:
    assert find_typed(Name("", "Вега"), "диван вега раскладной") is None
    assert find_typed(Name("", "Вега"), "Диван Вега раскладной") is not None
    assert find_typed(Name("", "«Вега»"), "диван «вега» раскладной") is not None
    assert find_typed(Name("айфон"), "продам айфон") is not None
