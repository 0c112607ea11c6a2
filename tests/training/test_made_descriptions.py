"""Descriptions hold before the service's own guards, tell nearly everything and seldom the same way."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from service import grounding, guards
from service.sentences import SentenceSplitter
from service.tasks.listing import Grounds
from service.tasks.listing import Listing as Card
from training.made.catalogue import Param
from training.made.describing import describe
from training.made.listing import TONES, Fact, Listing
from training.made.making import make_listings

GROUNDED = 0.97  # of all sentences; the rest are bare values that the service does not know
TOLD = 0.93  # of all facts, the category and other shelves of the form's tree aside
DISTINCT = 0.4  # of all four-word sequences
SAME_SHAPE = 0.1  # of descriptions whose shape another one of 300 has: the short cards'


@pytest.fixture(scope="module")
def made() -> list[tuple[Listing, str]]:
    rng = random.Random("descriptions")
    listings = make_listings(300, name="test", seed=11)
    return [(one, describe(one, tone=TONES[at % 3], rng=rng)) for at, one in enumerate(listings)]


def _sentences(text: str) -> list[str]:
    splitter = SentenceSplitter()
    return [*splitter.feed(text), *splitter.flush()]


def _card(listing: Listing) -> Card:
    params = {label or f"Параметр {at}": value for at, (label, value) in enumerate(listing.params)}
    return Card(
        title=listing.title,
        category=listing.category,
        params=params,
        price=listing.price,
        price_text=listing.price_text,
    )


def test_sentences_are_grounded(made: list[tuple[Listing, str]]) -> None:
    bad, number = [], 0
    for listing, text in made:
        evidence = Grounds.of(_card(listing)).evidence
        for sentence in _sentences(text):
            number += 1
            if found := evidence.unsupported(sentence):
                bad.append((listing.title, sentence, found[0].text, found[0].reason))
    share = 1 - len(bad) / number
    print(f"grounded: {share:.4f} of {number} sentences")
    assert share >= GROUNDED, bad


def test_guards_find_nothing(made: list[tuple[Listing, str]]) -> None:
    """What they find in a title is the seller's own; few titles hold anything like a contact."""
    plain = [text for listing, text in made if not guards.find(f"{listing.title}.")]
    assert len(plain) > 0.98 * len(made)
    assert not [(one, found) for text in plain for one in _sentences(text) if (found := guards.find(one))]


def test_nearly_every_fact_is_told(made: list[tuple[Listing, str]]) -> None:
    told = number = 0
    for listing, text in made:
        shelves = {one.shown for one in listing.facts if one.key == "class" or (one.param and one.param.path)}
        facts = [one for one in _card(listing).facts if one[0] != "Категория" and one[1] not in shelves]
        told += len(grounding.used(facts, description=text))
        number += len(facts)
    print(f"told: {told / number:.4f} of {number} facts")
    assert told / number >= TOLD


def test_descriptions_vary(made: list[tuple[Listing, str]]) -> None:
    grams = Counter(
        gram
        for _, text in made
        for words in [text.lower().split()]
        for gram in zip(words, words[1:], words[2:], words[3:], strict=False)
    )
    shapes = Counter(_shape(listing, text) for listing, text in made)
    distinct = len(grams) / grams.total()
    same = sum(count for count in shapes.values() if count > 1) / len(made)
    print(f"distinct 4-grams: {distinct:.3f}, descriptions with a shape that another has: {same:.3f}")
    assert distinct >= DISTINCT
    assert same <= SAME_SHAPE


def _shape(listing: Listing, text: str) -> str:
    """Take out what the seller said and leave the plan."""
    said = f"{listing.title} {listing.category} {listing.thing} {listing.price_text}"
    said += " ".join(f"{label} {value}" for label, value in listing.params)
    stems = {word[:4] for word in re.findall(r"\w+", said.lower().replace("ё", "е"))}
    words = re.findall(r"\w+|[^\w\s]", text.lower().replace("ё", "е"))
    return re.sub(r"(_ ?)+", "_ ", " ".join("_" if word[:4] in stems else word for word in words))


def test_concise_is_one_or_two_sentences(made: list[tuple[Listing, str]]) -> None:
    lengths = [len(_sentences(text)) for listing, text in made[2::3] if not listing.plans]
    assert max(lengths) <= 2


def test_verb_agrees_with_the_thing(made: list[tuple[Listing, str]]) -> None:
    for listing, text in made:
        verb = re.match(r"(?:\w+ )*?\w+?(ются|[её]тся)\b", text.split(",")[0])
        if verb and listing.name and "услуга" not in text.lower():
            assert (verb[1] == "ются") == listing.plural, text


def test_description_is_well_typed(made: list[tuple[Listing, str]]) -> None:
    for listing, text in made:
        assert "{" not in text, text
        assert "  " not in text, text
        assert not re.search(r"None| [,.;:]|[.!?]{2}|,,", text.replace("...", "")), (listing, text)
        assert text.endswith((".", "!", "?")), text


def test_shelves_of_the_form_are_left_out(made: list[tuple[Listing, str]]) -> None:
    for listing, text in made:
        shelves = [one.shown for one in listing.facts if one.key == "class" or (one.param and one.param.path)]
        assert not re.search(r"(?i)(^|[.,;] )(раздел|категория) — ", text) or not shelves, (
            listing.params,
            text,
        )


def test_value_of_the_form_keeps_its_meaning() -> None:
    param = Param(labels=("Отделка",), values=("без ремонта",), form=("Требуется",), clauses=("без ремонта",))
    fact = Fact(
        key="repair", value="без ремонта", shown="Требуется", param=param, label="Отделка", in_card=True
    )
    listing = Listing(
        title="Квартира",
        category="Недвижимость",
        params=(("Отделка", "Требуется"),),
        price=None,
        deal="sale",
        thing="квартира",
        thing_head="квартира",
        name="квартира",
        head="квартира",
        facts=(fact,),
        said="Квартира",
    )
    assert "отделка — требуется" in describe(listing, tone="neutral", rng=random.Random(1)).lower()


def test_same_seed_gives_the_same_description(made: list[tuple[Listing, str]]) -> None:
    listing = made[0][0]
    first, again = (describe(listing, tone="neutral", rng=random.Random(1)) for _ in range(2))
    assert first == again
