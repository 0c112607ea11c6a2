"""Made-up reviews: clauses with their side, and summaries that the service itself would let pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from models.prompts import render
from service.tasks.clauses import clauses
from service.tasks.review_summary import WHO, SummaryReader
from service.tasks.topics import Topic, Topics
from service.tasks.votes import BLAMES, PRAISES, question
from training.made import reviews, summaries
from training.made.cases import about, agreed, in_case
from training.made.reviews import make_clauses
from training.made.summaries import make_summaries

CASES = ("gent", "datv", "accs", "ablt")


def test_the_same_seed_gives_the_same_texts_and_another_gives_others() -> None:
    first, again, other = ([*make_clauses(50, name="a", seed=seed)] for seed in (1, 1, 2))
    assert first == again != other
    assert [*make_summaries(9, name="a", seed=1)] == [*make_summaries(9, name="a", seed=1)]


def test_clauses_are_many_balanced_and_as_the_service_would_ask() -> None:
    rows = [*make_clauses(12_000, name="clauses", seed=3)]
    sides = Counter(side for _, side in rows)
    assert set(sides) == {PRAISES, BLAMES}
    assert 0.47 < sides[PRAISES] / len(rows) < 0.53
    assert len({text for text, _ in rows}) > 10_500
    assert all(0 < len(text) <= reviews.CHARS_MAX and not set("<>{}[]|") & set(text) for text, _ in rows)
    prompt = question(rows[0][0])
    assert render("review_aspects", "v2", prompt.fields)[-1]["content"] == f"Хвалит или ругает?\n{rows[0][0]}"


def test_no_clause_is_made_for_both_sides() -> None:
    sides: dict[str, set[str]] = {}
    for text, side in make_clauses(20_000, name="both", seed=4):
        sides.setdefault(text.lower().replace("ё", "е").rstrip("!.) ("), set()).add(side)
    both = [text for text, found in sides.items() if len(found) > 1]
    assert len(both) < 15, both  # «батарея не слабая» and a slip may meet


def test_the_service_s_words_of_judgement_rarely_contradict_a_side() -> None:
    rows = [*make_clauses(1500, name="mood", seed=5)]
    moods = [(sum(clause.mood.value for clause in clauses(text)), side) for text, side in rows]
    judged = [(mood > 0) == (side == PRAISES) for mood, side in moods if mood]
    assert sum(judged) > 0.8 * len(
        judged
    )  # read one by one, the others are faults of the words, not of the side


def test_near_pairs_are_on_their_sides() -> None:
    pairs = {"запаха нет": PRAISES, "вкуса нет": BLAMES, "не воняет": PRAISES}
    pairs |= {"воняет": BLAMES, "ок": PRAISES, "ужас": BLAMES, "могло быть и лучше": BLAMES}
    made = {text.lower(): side for text, side in make_clauses(25_000, name="pairs", seed=6)}
    assert {text: made.get(text) for text in pairs} == pairs


def test_every_name_has_its_cases_and_every_adjective_agrees() -> None:
    bank = reviews.bank()
    names = [name for aspect in bank["aspect"] for name in aspect["names"]]
    for name in [
        *names,
        *bank["absence"]["wanted"],
        *bank["absence"]["unwanted"],
        *summaries.bank()["names"],
    ]:
        assert all(in_case(name, case) for case in CASES)
    for aspect in bank["aspect"]:
        for word in (*aspect["good"], *aspect["bad"]):
            assert agreed(word, "цены") != word, word
    assert len(bank["aspect"]) >= 60


@pytest.mark.parametrize(
    ("frame", "name", "told"),
    [
        ("{name} [порадовал]", "цены", "цены порадовали"),
        ("[мог бы] быть {name}", "ткань", "могла бы быть ткань"),
        ("{name} [стоит] денег", "продукты", "продукты стоят денег"),
        ("за {name:accs}", "внешний вид", "за внешний вид"),
        ("за {name:accs}", "продавец", "за продавца"),
        ("нет {x:gent}", "доставка до двери", "нет доставки до двери"),
    ],
)
def test_frames_are_filled_in_agreement(frame: str, name: str, told: str) -> None:
    assert about(frame, name) == told


def topics_of(names: Sequence[str]) -> tuple[Topic, ...]:
    nominative = {in_case(name, "accs"): name for name in summaries.bank()["names"]}
    return tuple(Topic(name=nominative[name], count=9, quotes=()) for name in names)


def test_summaries_say_every_aspect_and_nothing_else_by_the_service_s_own_check() -> None:
    rows = [*make_summaries(800, name="summaries", seed=7)]
    for fields, text in rows:
        assert fields["who"] in WHO.values()
        assert render("review_summary", "v2", fields)
        topics = Topics(pros=topics_of(fields["praised"]), cons=topics_of(fields["blamed"]))
        reader = SummaryReader(topics, kind="product", max_chars=2000)
        shown = [*reader.feed(text), *reader.flush("stop")]
        assert " ".join(shown) == text
        assert not reader.removed
        assert not reader.complete(1)
        assert not reader.complete(-1)
        for name in (*topics.pros, *topics.cons):
            assert any(in_case(name.name, case) in text for case in ("nomn", "accs", "ablt")), name
    assert sum(not (fields["praised"] and fields["blamed"]) for fields, _ in rows) > len(rows) / 2
    assert len({text for _, text in rows}) > 720
