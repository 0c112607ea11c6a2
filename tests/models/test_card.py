"""Cards: a good one is read whole, a bad one is refused with one line that says where and why."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.card import (
    TOKENIZER_PROBE,
    Card,
    CardError,
    Evaluation,
    TaskSettings,
    fingerprint,
    load_card,
    load_cards,
)

CARD = f"""
name = "tiny-ru.v2"
base = "org/tiny"
licence = "Apache-2.0"
data = "объявления"
weights = "hf://org/tiny@v1"
format = "hf"
tokenizer_sha256 = "{"a" * 64}"
tokenizer_fingerprint = "{"b" * 64}"
vocab_size = 32_000
context_length = 2048
git_sha = "0123abc"

[weights_sha256]
"model.safetensors" = "{"c" * 64}"

[tasks.describe]
prompt = "describe.v1"
max_tokens = 200
temperature = 0
stop = ["\\n\\n", "Объявление:"]

[[evaluation]]
name = "guards_passed"
value = 1
n = 50
stderr = 0.01
command = "python -m training evaluate tiny-ru.v2"
commit = "0123abc"
hardware = "2 cores"
date = 2026-11-22
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, CARD)
    return tmp_path


def write(folder: Path, source: str, *, stem: str = "tiny-ru.v2") -> Path:
    path = folder / f"{stem}.toml"
    path.write_text(source, encoding="utf-8")
    return path


def test_card_is_read_whole(folder: Path) -> None:
    card = load_card(folder / "tiny-ru.v2.toml")

    assert (card.name, card.data, card.vocab_size) == ("tiny-ru.v2", "объявления", 32_000)
    assert card.tasks["describe"] == TaskSettings(
        prompt="describe.v1", max_tokens=200, stop=("\n\n", "Объявление:")
    )
    assert card.tasks["describe"].template == ("describe", "v1")
    assert card.evaluation == (
        Evaluation(
            name="guards_passed",
            value=1.0,
            n=50,
            stderr=0.01,
            command="python -m training evaluate tiny-ru.v2",
            commit="0123abc",
            hardware="2 cores",
            date=datetime.date(2026, 11, 22),
        ),
    )


def test_card_survives_json_and_cannot_be_changed(folder: Path) -> None:
    card = load_card(str(folder / "tiny-ru.v2.toml"))
    assert Card.model_validate_json(card.model_dump_json()) == card
    with pytest.raises(ValidationError):
        card.name = "other"


def test_cards_of_a_folder_come_by_name(folder: Path) -> None:
    write(folder, CARD.replace("tiny-ru.v2", "other"), stem="other")
    (folder / "README.md").write_text("not a card")
    assert list(load_cards(folder)) == ["other", "tiny-ru.v2"]


def test_cards_of_the_repository_are_all_readable() -> None:
    for name in load_cards():
        assert load_card(name).name == name


A_SHA = '"model.safetensors" = "' + "c" * 64 + '"'


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "temperature = 0",
            "temprature = 0",
            "tasks.describe.temprature: unknown key, did you mean temperature?",
        ),
        ("licence = ", "license = ", "license: unknown key, did you mean licence?"),
        ("stderr = 0.01", "std = 0.01", "evaluation.0.std: unknown key, did you mean stderr?"),
        ("git_sha", "zzz", "zzz: unknown key, known are name, base,"),
        ("licence = ", "# licence = ", "licence: is missing"),
        (
            "temperature = 0",
            "temperature = 2.5",
            "tasks.describe.temperature: input should be less than or equal to 2",
        ),
        (
            "temperature = 0",
            "temperature = nan",
            "tasks.describe.temperature: input should be a finite number",
        ),
        (
            "temperature = 0",
            'temperature = "0"',
            "tasks.describe.temperature: input should be a valid number, not '0'",
        ),
        ("temperature = 0", "top_p = 0", "tasks.describe.top_p: input should be greater than 0"),
        ("temperature = 0", "top_k = -1", "tasks.describe.top_k: input should be greater than or equal to 0"),
        ("temperature = 0", "min_p = 1.1", "tasks.describe.min_p: "),
        ("temperature = 0", "repetition_penalty = 0", "tasks.describe.repetition_penalty: "),
        ("temperature = 0", "presence_penalty = -3", "tasks.describe.presence_penalty: "),
        ("temperature = 0", "attempts = 5", "tasks.describe.attempts: "),
        ("temperature = 0", "seed = true", "tasks.describe.seed: "),
        ("max_tokens = 200", "max_tokens = 2048", "tasks.describe.max_tokens leaves no room for a prompt"),
        ('stop = ["\\n\\n", ', 'stop = ["", ', "tasks.describe.stop.0: "),
        ('"describe.v1"', '"describe"', "tasks.describe.prompt: "),
        ('"describe.v1"', '"../describe.v1"', "tasks.describe.prompt: "),
        ("[tasks.describe]", "[tasks.Describe]", "tasks.Describe: "),
        ('"tiny-ru.v2"\nbase', '"Tiny"\nbase', "name: "),
        ('"tiny-ru.v2"\nbase', '"tiny"\nbase', "name: is 'tiny', but the file is called 'tiny-ru.v2'"),
        ("c" * 64, "c" * 63, 'weights_sha256."model.safetensors": '),
        ("model.safetensors", "../model.safetensors", "weights_sha256: "),
        (A_SHA, "", "weights_sha256: "),
        ("hf://org/tiny@v1", "hf://org/tiny", "weights: hf://org/tiny: expected hf://org/name@revision"),
        (
            "hf://org/tiny@v1",
            "package://tiny@1.0/tiny.gguf",
            "weights give tiny.gguf, so weights_sha256 has to",
        ),
        ('format = "hf"', 'format = "onnx"', "format: input should be 'hf', 'gguf' or 'int8', not 'onnx'"),
        ("vocab_size = 32_000", "vocab_size = 0", "vocab_size: "),
        ('licence = "Apache-2.0"', 'licence = " "', "licence: "),
        ("date = 2026-11-22", "", "evaluation.0.date: is missing"),
        ("[tasks.describe]", "[tasks.describe", "not TOML: "),
    ],
)
def test_fault_is_one_line_with_its_place(old: str, new: str, complaint: str, folder: Path) -> None:
    assert old in CARD
    path = write(folder, CARD.replace(old, new, 1))
    with pytest.raises(CardError) as caught:
        load_card(path)

    assert str(caught.value).startswith(f"{path}: {complaint}")
    assert "\n" not in str(caught.value)


A_SHARD = "weights-00001-of-00001.safetensors"
PACKED = CARD.replace('format = "hf"', 'format = "int8"').replace(
    A_SHA,
    "\n".join(
        f'"{name}" = "{"c" * 64}"'
        for name in (A_SHARD, "config.json", "tokenizer.json", "tokenizer_config.json")
    ),
)


def test_packed_weights_have_a_card(folder: Path) -> None:
    packed = PACKED.replace("hf://org/tiny@v1", "file://models/weights/tiny-ru.v2")
    card = load_card(write(folder, packed))
    assert (card.format, card.weights) == ("int8", "file://models/weights/tiny-ru.v2")
    assert A_SHARD in card.weights_sha256


@pytest.mark.parametrize("lost", [A_SHARD, "config.json", "tokenizer.json"])
def test_a_card_of_packed_weights_lists_every_file(lost: str, folder: Path) -> None:
    path = write(folder, PACKED.replace(f'"{lost}"', '"other"'))
    with pytest.raises(CardError, match="weights_sha256 of packed weights: ") as caught:
        load_card(path)
    assert "\n" not in str(caught.value)


def test_further_faults_are_counted(folder: Path) -> None:
    path = write(folder, CARD.replace("max_tokens = 200", "max_tokens = 0\ntop_p = 2\nseed = -1"))
    with pytest.raises(CardError, match=r"tasks\.describe\.max_tokens: .* \(and 2 more\)$"):
        load_card(path)


def test_card_that_is_not_there_is_told_with_the_closest_one(folder: Path) -> None:
    with pytest.raises(CardError, match=r"there is no such card, did you mean tiny-ru\.v2\?$"):
        load_card(folder / "tiny-ru.v1.toml")
    with pytest.raises(CardError, match=r"models.cards.no-such-card\.toml: there is no such card"):
        load_card("no-such-card")
    with pytest.raises(CardError, match="no such folder of cards"):
        load_cards(folder / "nowhere")


def test_card_that_is_no_text_is_told(folder: Path) -> None:
    path = folder / "tiny-ru.v2.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CardError, match="not TOML"):
        load_card(path)
    with pytest.raises(CardError, match="directory"):
        load_card(folder)


def test_fingerprint_tells_tokenizers_apart() -> None:
    assert fingerprint([1, 23]) == fingerprint((1, 23))
    assert len({fingerprint(ids) for ids in ([1, 23], [12, 3], [123], [23, 1], [])}) == 5
    # A pinned value: another way of hashing would make every card of old a lie.
    assert fingerprint([1, 23]) == "dec1a325b2aab707b526fa2b8a16aba9a9edba3ccb8de9df7b34f28fb85c1d0f"


def test_probe_holds_what_tokenizers_disagree_on() -> None:
    for sample in ("ё", "Й", "1234567", "iPhone", "🚲", "\n", "  ", "—", "₽"):
        assert sample.lower() in TOKENIZER_PROBE.lower()
    assert max(map(len, TOKENIZER_PROBE.split())) >= 25
