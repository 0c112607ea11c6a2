"""Duplicates: found when one word is another, whatever the shards; different goods of one template stay."""

from __future__ import annotations

import pickle
import random
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter
from hypothesis import given
from hypothesis import strategies as st

from training.cleaning import duplicates
from training.cleaning.minhash import minima
from training.cleaning.profiles import NearDuplicates
from training.cleaning.shingles import fold, plain

SETTINGS = NearDuplicates(buckets=25, hashes=5)
BIKE = (
    "Продаю горный велосипед Stels Navigator 500, рама 18 дюймов, дисковые тормоза, состояние хорошее, "
    "катались два сезона, весной заменены тросы и колодки. Насос и звонок в подарок, торг уместен."
)
SOFA = (
    "Диван-кровать с ящиком для белья, обивка рогожка, механизм еврокнижка, без пятен и затяжек, "
    "самовывоз с третьего этажа, грузовой лифт есть, помогу вынести и погрузить в машину."
)

Chain = Callable[[Sequence[Sequence[Document]]], list[str]]


def document(name: str, text: str) -> Document:
    return Document(text, name, metadata={"source": "s", "profile": "listings", "domain": "ads"})


def through(shards: Sequence[Sequence[Document]], step: PipelineStep) -> list[Document]:
    """Run a step over every shard, pickled in between as on its way to a worker."""
    kept: list[Document] = []
    for rank, shard in enumerate(shards):
        there = pickle.loads(pickle.dumps(step))
        kept += there.run(iter(shard), rank, len(shards)) or []
    return kept


@pytest.fixture
def near(tmp_path: Path) -> Chain:
    def chain(shards: Sequence[Sequence[Document]], *, settings: NearDuplicates = SETTINGS) -> list[str]:
        through(shards, duplicates.signature(tmp_path, settings))
        for rank in range(settings.buckets):
            duplicates.buckets(tmp_path, settings).run(None, rank, settings.buckets)
        duplicates.clusters(tmp_path, settings).run(None)
        return sorted(kept.id for kept in through(shards, duplicates.removed(tmp_path)))

    return chain


@pytest.fixture
def exact(tmp_path: Path) -> Chain:
    def chain(shards: Sequence[Sequence[Document]], *, tasks: int = 1) -> list[str]:
        through(shards, duplicates.exact_signature(tmp_path))
        for rank in range(tasks):
            duplicates.exact_matches(tmp_path).run(None, rank, tasks)
        return sorted(kept.id for kept in through(shards, duplicates.exact_removed(tmp_path)))

    return chain


def test_one_word_is_another(near: Chain) -> None:
    kept = near(
        [
            [document("a", BIKE), document("b", SOFA)],
            [document("c", BIKE.replace("весной", "осенью")), document("d", SOFA.upper() + "!!!")],
        ]
    )
    assert len(kept) == 2
    assert len({"a", "c"} & set(kept)) == len({"b", "d"} & set(kept)) == 1


def test_other_goods_in_one_template_stay(near: Chain) -> None:
    frame = (
        "{}. Магазин «Мир часов», доставка по всей стране, оплата при получении, гарантия год. {} Звоните с "
        "девяти до девяти, без выходных, ответим на все вопросы. {}"
    )
    goods = [
        ("Garmin Fenix 8", "Титановый корпус, запас хода шестнадцать дней.", "Ремешок кожаный, в коробке."),
        ("Casio G-Shock", "Ударопрочные, водонепроницаемые до двухсот метров.", "Новые, с биркой."),
        ("Tissot PRX", "Автоматический завод, сапфировое стекло, браслет.", "Носились месяц, чек сохранён."),
    ]
    names = [document(goods[i][0], frame.format(*goods[i])) for i in range(3)]
    assert len(near([names])) == 3


def test_stock_phrases_are_not_duplicates(near: Chain) -> None:
    texts = ["Куртка в хорошем состоянии", "Рубашка в хорошем состоянии", "В хорошем состоянии", "Торг!"]
    assert len(near([[document(str(i), text) for i, text in enumerate(texts)]])) == len(texts)


def test_likeness_at_second_hand_is_none(near: Chain) -> None:
    """Each text is like the next; the first and the last have nothing in common."""
    words = [f"слово{random.Random(number).randrange(10**9)}" for number in range(160)]
    chained = [document(f"{start:03d}", " ".join(words[start : start + 60])) for start in range(0, 101, 5)]
    kept = [int(name) for name in near([chained])]
    assert len(kept) >= 4
    assert max(np.diff(kept)) <= 30, "somebody went who was like none of those kept"


@pytest.mark.parametrize("seed", range(3))
def test_who_is_kept_does_not_depend_on_the_shards(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    base = [" ".join(chance.choices(BIKE.split() + SOFA.split(), k=40)) for _ in range(20)]
    documents = [document(f"{i}", text) for i, text in enumerate(base)]
    documents += [document(f"{i}'", text.replace(" ", " и ", 1)) for i, text in enumerate(base[:10])]
    chance.shuffle(documents)
    found = []
    for num, parts in ((1, 1), (3, 1), (4, 2)):
        folder = tmp_path_factory.mktemp("near")
        shards = [documents[rank::num] for rank in range(num)]
        through(shards, duplicates.signature(folder, SETTINGS))
        for rank in range(SETTINGS.buckets * parts):
            duplicates.buckets(folder, SETTINGS).run(None, rank, SETTINGS.buckets * parts)
        duplicates.clusters(folder, SETTINGS).run(None)
        found.append(sorted(kept.id for kept in through(shards, duplicates.removed(folder))))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 20


def test_same_bytes_twice(tmp_path: Path) -> None:
    content = []
    for name in "ab":
        through([[document("a", BIKE), document("b", SOFA)]], duplicates.signature(tmp_path / name, SETTINGS))
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        content.append([(path.relative_to(tmp_path / name), path.read_bytes()) for path in files])
    assert content[0] == content[1]


@pytest.mark.parametrize("texts", [[], [""], ["", "", "!!!"], ["а", "б"], ["\ud800", "🔥"], ["ﾞ", "\0"]])
def test_hardly_any_text(near: Chain, texts: list[str]) -> None:
    kept = near([[document(str(i), text) for i, text in enumerate(texts)], []])
    assert len(kept) == len(set(texts))


def test_tasks_that_do_not_fit_the_buckets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no multiple of 25 buckets"):
        duplicates.buckets(tmp_path, SETTINGS).run(None, 0, 26)
    with pytest.raises(ValueError, match="one task"):
        duplicates.clusters(tmp_path, SETTINGS).run(None, 0, 2)


def test_dropped_documents_keep_their_reason(tmp_path: Path) -> None:
    shard = [document("a", BIKE), document("b", BIKE)]
    through([shard], duplicates.exact_signature(tmp_path))
    duplicates.exact_matches(tmp_path).run(None, 0, 1)
    writer = JsonlWriter(str(tmp_path / "dropped"), output_filename="${rank}.jsonl", compression=None)
    kept = through([shard], duplicates.exact_removed(tmp_path, exclusion_writer=writer))
    dropped = (tmp_path / "dropped" / "00000.jsonl").read_text(encoding="utf-8")
    assert len(kept) == 1
    assert '"filter_reason":"exact_duplicate"' in dropped.replace(" ", "").replace("\n", "")


@pytest.mark.parametrize("tasks", [1, 3])
def test_exact_over_all_shards_one_of_them_empty(exact: Chain, tasks: int) -> None:
    shards = [
        [document("a", BIKE), document("b", SOFA)],
        [],
        [document("c", f"  {BIKE.upper()}\n\n"), document("d", BIKE.replace("два", "три"))],
    ]
    kept = exact(shards, tasks=tasks)
    assert {"b", "d"} < set(kept)
    assert len({"a", "c"} & set(kept)) == 1


def test_exact_of_a_long_text_is_that_of_its_letters(exact: Chain) -> None:
    long = BIKE * 2_000
    assert (
        len(exact([[document("a", long), document("b", long.replace(" ", "\n  ")), document("c", SOFA)]]))
        == 2
    )


def test_signs_without_letters_are_told_apart(exact: Chain) -> None:
    texts = ["!!!", "???", "!!!", "", ""]
    assert len(exact([[document(str(i), text) for i, text in enumerate(texts)]])) == 3


def test_what_folding_takes_away() -> None:
    assert plain("  «Ёлка—зелёная», 5,0 м;\u00a0ПРОДА\u0301М\u00ad! ") == "елка зеленая 5 0 м продам"
    assert plain("и\u0306") == plain("й")
    assert fold(["а б", "в"], gap=2).tolist() == [ord("а"), 32, ord("б"), 0, 0, ord("в"), 0, 0]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8))
def test_texts_folded_together_are_those_folded_apart(texts: list[str]) -> None:
    assert fold(texts).tolist() == [code for text in texts for code in fold([text]).tolist()]
    together, lengths = minima(texts, SETTINGS)
    for text, row, length in zip(texts, together, lengths, strict=True):
        alone, alone_length = minima([text], SETTINGS)
        assert (alone[0] == row).all()
        assert alone_length[0] == length


def test_agreement_of_signatures_is_the_jaccard_similarity() -> None:
    words = BIKE.split() + SOFA.split()
    chance = random.Random(3)
    many = NearDuplicates(buckets=200, hashes=5)
    for share in (10, 30, 45):
        one = chance.choices(words, k=60)
        other = [*one[:share], *chance.choices(words, k=60 - share)]
        texts = [" ".join(one), " ".join(other)]
        a, b = ({f"{plain(text)}\0\0\0\0"[i : i + 5] for i in range(len(plain(text)))} for text in texts)
        signatures, _ = minima(texts, many)
        assert (signatures[0] == signatures[1]).mean() == pytest.approx(len(a & b) / len(a | b), abs=0.06)


def test_memory_of_a_long_text(tmp_path: Path) -> None:
    long = " ".join(f"слово{number}" for number in range(1_000_000))
    assert len(long.encode()) > 15_000_000
    tracemalloc.start()
    through_step = duplicates.signature(tmp_path, NearDuplicates(buckets=2, hashes=2))
    through_step.run(iter([document("a", long)]), 0, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000
