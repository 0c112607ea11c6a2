"""Documents with a question of an evaluation set go, however it is written; honest ones stay."""

from __future__ import annotations

import gzip
import json
import pickle
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from training.cleaning.decontamination import Decontaminated, build_index, files_of
from training.config import Evaluation
from training.errors import ConfigError, CorpusError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HONEST = (
    "Продаю горный велосипед, рама 18 дюймов. Какое из следующих утверждений верно: торг уместен или нет? "
    "Which of the following is true? Never mind, just call me. "
)
LONG = (
    "Ветры, дующие от океанов в сторону суши, обычно имеют большую влажность, чем ветры, дующие над сушей. "
    "Как высокое содержание влаги влияет на климат прибрежной области?"
)
ROWS: list[dict[str, Any]] = [
    {"id": "ru/1", "question": LONG, "choices": ["Меньше конденсации.", "Больше осадков."]},
    {
        "id": "ru/2",
        "question": "Какое из следующих утверждений верно?",
        "choices": ["Вода сухая.", "Лёд холоден."],
    },
    {
        "id": "en/1",
        "question": "What is the capital of the Russian Empire in 1913?",
        "choices": ["Moscow", "Kiev"],
    },
    {
        "id": "en/2",
        "question": "Which of the following is true?",
        "choices": ["Ice is hot.", "Snow is white."],
    },
    {"id": "en/3", "question": "FM is", "choices": ["radio", "frequency modulation", "+"]},
    {"id": "en/4", "question": "Find f(x) = x^2 + 3x - 7 for x = 12, 13 and 14.", "choices": ["1", "2"]},
]
Holds = Callable[[str], str | None]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def asked(name: str = "exam", **changes: Any) -> Evaluation:
    return Evaluation(name=name, path=f"{name}.jsonl", text=("question", "choices"), **changes)


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    write(tmp_path / "exam.jsonl", ROWS)
    build_index([asked()], data=tmp_path, folder=tmp_path / "index")
    step = pickle.loads(pickle.dumps(Decontaminated(tmp_path / "index")))

    def found(text: str) -> str | None:
        document = Document(text, "d", metadata={})
        kept = list(step.run(iter([document])))
        return None if kept else document.metadata["evaluation"]

    return found


def spellings(text: str) -> Iterator[str]:
    yield text
    yield text.upper()
    yield re.sub(r"\s+", "\n  ", text)
    yield re.sub(r"[^\w\s]", "", text)
    yield re.sub(r"[^\w\s]", " - ", text)
    yield text.replace("е", "ё").replace("-", "\u2011").replace(" ", "\u00a0")


def listed(row: dict[str, Any], labels: str, between: str) -> str:
    return f"{row['question']}{between}" + "\n".join(
        f"{label}) {choice}" for label, choice in zip(labels, row["choices"], strict=False)
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
@pytest.mark.parametrize("labels", ["ABC", "абв", "123"])
def test_question_with_its_choices_in_any_spelling(holds: Holds, row: dict[str, Any], labels: str) -> None:
    for text in spellings(listed(row, labels, "\n")):
        assert holds(f"{HONEST} {text}\n{HONEST}") == f"exam/{row['id']}", text


def test_words_between_question_and_choices(holds: Holds) -> None:
    assert holds(listed(ROWS[1], "абв", "\nВарианты ответа:\n")) == "exam/ru/2"


@pytest.mark.parametrize("row", [ROWS[0], ROWS[2], ROWS[5]], ids=lambda row: row["id"])
def test_question_that_says_enough_by_itself(holds: Holds, row: dict[str, Any]) -> None:
    for text in spellings(row["question"]):
        assert holds(f"{HONEST} {text} {HONEST}") == f"exam/{row['id']}", text


@pytest.mark.parametrize("row", ROWS[1:4:2], ids=lambda row: row["id"])
def test_generic_question_alone(holds: Holds, row: dict[str, Any]) -> None:
    assert holds(f"{HONEST} {row['question']} {HONEST}") is None
    assert holds(f"{row['question']} {row['choices'][0]}") is None, "not all of its choices"
    assert holds(f" {row['question'].upper()}\n") == f"exam/{row['id']}", "the question and nothing else"


def test_thirteen_words_of_a_long_question(holds: Holds) -> None:
    words = LONG.split()
    for start in range(len(words) - 12):
        assert holds(f"{HONEST} {' '.join(words[start : start + 13])} {HONEST}") == "exam/ru/1"
        assert holds(f"{HONEST} {' '.join(words[start : start + 12])} {HONEST}") is None


def test_part_of_a_word_is_no_word(holds: Holds) -> None:
    assert holds("Somewhat is the capital of the Russian Empire in 1913") is None
    assert holds("What is the capital of the Russian Empire in 19135 roubles?") is None


@pytest.mark.parametrize("place", [0, 65_000, 65_536, 131_000, 300_000])
def test_question_anywhere_in_a_long_text(holds: Holds, place: int) -> None:
    honest = (HONEST * 3_000)[:400_000]
    assert holds(honest) is None
    for row in (ROWS[0], ROWS[1]):
        assert holds(f"{honest[:place]} {listed(row, 'ABC', ' ')} {honest[place:]}") == f"exam/{row['id']}"


def test_neighbours_in_a_batch_stay(holds: Holds, tmp_path: Path) -> None:
    texts = [HONEST, "", LONG, "!!!", HONEST, ROWS[1]["question"], HONEST]
    documents = [Document(text, str(number), metadata={}) for number, text in enumerate(texts)]
    kept = Decontaminated(tmp_path / "index").run(iter(documents))
    assert [document.id for document in kept] == ["0", "1", "3", "4", "6"]


def test_long_choices_are_looked_for_too(tmp_path: Path) -> None:
    write(tmp_path / "exam.jsonl", [{"question": "Что верно?", "choices": [LONG, "ничего"]}])
    figures = build_index([asked()], data=tmp_path, folder=tmp_path / "index")
    assert figures == {"questions": 2, "with choices only": 1}
    assert list(Decontaminated(tmp_path / "index").run(iter([Document(f"{HONEST}{LONG}", "d")]))) == []


def test_index_is_the_same_each_time(tmp_path: Path) -> None:
    write(tmp_path / "exam.jsonl", ROWS)
    for name in ("one", "two"):
        build_index([asked()], data=tmp_path, folder=tmp_path / name)
    one, two = (tmp_path / name / "questions.jsonl" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluation exam: there is no file .*exam\.jsonl"):
        files_of(asked(), data=tmp_path)


def test_missing_field(tmp_path: Path) -> None:
    write(tmp_path / "exam.jsonl", [ROWS[0], {"question": "Что?", "options": []}])
    with pytest.raises(ConfigError, match=r"exam\.jsonl:2: no text in field 'choices'; .*question, options"):
        build_index([asked()], data=tmp_path, folder=tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("line", [b'{"question": ', b"[1, 2]", b'{"question": "\xff", "choices": []}'])
def test_line_that_is_no_question(tmp_path: Path, line: bytes) -> None:
    write(tmp_path / "exam.jsonl", [ROWS[0]])
    with (tmp_path / "exam.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(CorpusError, match=r"exam\.jsonl:2: "):
        build_index([asked()], data=tmp_path, folder=tmp_path / "index")


def test_empty_and_broken_files(tmp_path: Path) -> None:
    (tmp_path / "exam.jsonl").write_bytes(b"")
    with pytest.raises(CorpusError, match="has no questions"):
        build_index([asked()], data=tmp_path, folder=tmp_path / "index")
    packed = gzip.compress(json.dumps(ROWS[0]).encode() * 500)
    (tmp_path / "exam.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    broken = Evaluation(name="exam", path="exam.jsonl.gz")
    with pytest.raises(CorpusError, match=r"exam\.jsonl\.gz"):
        build_index([broken], data=tmp_path, folder=tmp_path / "index")


@pytest.mark.skipif(not DATA.exists(), reason=f"the real data are not at {DATA}")
def test_real_questions_go_and_real_texts_stay(tmp_path: Path) -> None:
    names = ["arc_ru", "mmlu_en_dev", "mmlu_ru_val"]
    sets = [
        Evaluation(name=name, path=f"multiple_choice/{name}.jsonl.gz", text=("question", "choices"))
        for name in names
    ]
    build_index(sets, data=DATA, folder=tmp_path / "index")
    with gzip.open(DATA / "corpus" / "fortunes_ru.jsonl.gz", "rt", encoding="utf-8", newline="\n") as lines:
        texts = [json.loads(line)["text"] for line in lines][:2_000]
    chance = random.Random(1)
    planted = []
    for name in names:
        path = DATA / "multiple_choice" / f"{name}.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            rows = chance.sample([json.loads(line) for line in lines], 100)
        planted += [f"{chance.choice(texts)}\n{listed(row, 'ABCDE', ' ')}\n" for row in rows]
    documents = [Document(text, str(number), metadata={}) for number, text in enumerate([*planted, *texts])]
    kept = [int(document.id) for document in Decontaminated(tmp_path / "index").run(iter(documents))]
    assert kept == list(range(len(planted), len(documents)))
