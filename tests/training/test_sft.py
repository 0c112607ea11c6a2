"""Dialogues for fine-tuning: the tokens that the service sends, of which the answers alone are trained."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from models.prompts import chat_template, render
from training import sft
from training.config import Corpus, Dialogues, Run, Source, Tokenizer
from training.dialogues.made import make_dialogues
from training.dialogues.reading import Turn
from training.dialogues.rendering import Chat
from training.errors import ConfigError, CorpusError, TokenizerError
from training.made.listing import Tone
from training.made.making import make_listings
from training.packed.store import open_tokens
from training.recipe import Work
from training.samples import make_texts
from training.tokenizer import train_tokenizer

CORPUS = Corpus(sources=(Source(name="a", made=1, domain="listings"),))
TALK = [
    {"role": "system", "content": "Отвечай коротко."},
    {"role": "user", "content": "Ещё продаёте диван?"},
    {"role": "assistant", "content": "Да, приезжайте."},
    {"role": "user", "content": "А доставка есть?"},
    {"role": "assistant", "content": "Нет, самовывоз."},
]
CONTENT = (
    st.text(st.characters(exclude_characters="|", exclude_categories=("Cs",)), min_size=1)
    .map(str.strip)
    .filter(bool)
)
Build = Callable[..., tuple[dict[str, Any], Path]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "new"
    source = Source(name="texts", made=400, domain="listings")
    texts = [text for text, _ in make_texts(source, seed=1)]
    train_tokenizer(texts, settings=Tokenizer(vocabulary=640), folder=folder)
    return folder


@pytest.fixture(scope="module")
def chat(tokenizer: Path) -> Chat:
    return Chat(tokenizer)


@pytest.fixture(scope="module")
def served(tokenizer: Path) -> Any:
    return AutoTokenizer.from_pretrained(tokenizer)


@pytest.fixture
def build(tmp_path: Path, tokenizer: Path) -> Build:
    def run(*dialogues: Dialogues, length: int = 256, name: str = "store", seed: int = 1) -> Any:
        settings = Run(name="r", seed=seed, data=str(tmp_path), corpus=CORPUS, dialogues=dialogues)
        folder = tmp_path / name
        folder.mkdir()
        work = Work(settings, folder, {}, lambda note, done, total: None)
        return sft.build(work, vocabulary_folder=tokenizer, lengths=[length]), folder

    return run


def turns_of(messages: Sequence[dict[str, str]]) -> list[Turn]:
    return [Turn(one["role"], one["content"], one["role"] == "assistant") for one in messages]


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


class TestRendering:
    def test_answers_are_trained_with_the_end_of_their_turn_and_nothing_else(
        self, chat: Chat, served: Any
    ) -> None:
        ids, trained = chat.render(turns_of(TALK))
        runs, learnt = [], False
        for token, counts in zip(ids, trained, strict=True):
            if counts and not learnt:
                runs.append([])
            if counts:
                runs[-1].append(token)
            learnt = counts
        assert [served.decode(run) for run in runs] == [
            "Да, приезжайте.<|im_end|>",
            "Нет, самовывоз.<|im_end|>",
        ]

    def test_tokens_before_an_answer_are_those_that_the_service_sends(self, chat: Chat, served: Any) -> None:
        ids, trained = chat.render(turns_of(TALK))
        for end in (2, 4):
            asked = served.apply_chat_template(TALK[:end], add_generation_prompt=True, return_dict=False)
            assert ids[: len(asked)] == asked
            assert trained[len(asked) - 1 : len(asked) + 1] == [False, True]
        whole = served.apply_chat_template(TALK, return_dict=False)
        assert whole[: len(ids)] == ids
        assert served.decode(whole[len(ids) :]) == "\n"

    @given(st.lists(st.tuples(CONTENT, CONTENT), min_size=1, max_size=3))
    def test_any_text_is_learnt_as_it_is_asked_for(
        self, chat: Chat, served: Any, talks: list[tuple[str, str]]
    ) -> None:
        turns = [
            Turn(role, content, role == "assistant")
            for pair in talks
            for role, content in zip(("user", "assistant"), pair, strict=True)
        ]
        ids, trained = chat.render(turns)
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        asked = served.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        assert ids[: len(asked)] == asked
        assert all(trained[len(asked) :])
        assert served.decode(ids[len(asked) :]) == turns[-1].content + "<|im_end|>"

    def test_a_special_token_in_a_text_is_refused(self, chat: Chat) -> None:
        with pytest.raises(ValueError, match=r"user's text holds the special token <\|im_end\|>"):
            chat.render([Turn("user", "раз<|im_end|>два", False), Turn("assistant", "нет", True)])

    @pytest.mark.parametrize(
        ("template", "told"),
        [(None, "no chat template"), (chat_template("plain"), "ends an answer by no special token")],
    )
    def test_a_template_that_cannot_teach_an_end_is_refused(
        self, tokenizer: Path, tmp_path: Path, template: str | None, told: str
    ) -> None:
        config = json.loads((tokenizer / "tokenizer_config.json").read_bytes()) | {"chat_template": template}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        (tmp_path / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
        with pytest.raises(TokenizerError, match=told):
            Chat(tmp_path).render(turns_of(TALK))

    def test_a_folder_without_a_tokenizer_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TokenizerError, match=str(tmp_path)):
            Chat(tmp_path)


PROMPTS = ("describe.v2", "extract_model.v2", "review_aspects.v2", "review_summary.v2", "suggest_reply.v2")


class TestMade:
    @pytest.mark.parametrize("prompt", PROMPTS)
    def test_prompt_is_the_services_own_and_the_answer_alone_is_trained(self, prompt: str) -> None:
        for turns in make_dialogues(30, prompt=prompt, name="d", seed=1):
            assert [turn.trained for turn in turns] == [False] * (len(turns) - 1) + [True]
            assert [turn.role for turn in turns] == ["user", "assistant"]
            assert turns[-1].content.strip() == turns[-1].content != ""
            assert "\n" not in turns[-1].content, "the service stops at the end of the line"

    def test_it_is_rendered_by_the_contracts_template(self) -> None:
        made = make_dialogues(20, prompt="describe.v2", name="d", seed=1)
        for turns, listing in zip(made, make_listings(20, name="d", seed=1), strict=True):
            asked = [render("describe", "v2", listing.fields(tone)) for tone in get_args(Tone)]
            assert [{"role": "user", "content": turns[0].content}] in asked

    def test_models_are_told_as_the_services_schema_has_them(self) -> None:
        for turns in make_dialogues(50, prompt="extract_model.v2", name="d", seed=1):
            answer = json.loads(turns[-1].content)
            assert list(answer) == ["brand", "models"]
            assert all(model in turns[0].content for model in answer["models"])
            assert turns[-1].content == json.dumps(answer, ensure_ascii=False, separators=(",", ":"))

    @pytest.mark.parametrize("prompt", ["describe.v99", "describe", "poem.v1", ""])
    def test_a_prompt_that_nothing_is_made_up_for_is_named(self, prompt: str) -> None:
        with pytest.raises(ConfigError, match=r"nothing is made up for .*describe\.v"):
            next(make_dialogues(1, prompt=prompt, name="d", seed=1))

    def test_seed_and_name_decide(self) -> None:
        first, again, other, named = (
            list(make_dialogues(5, prompt="describe.v2", name=name, seed=seed))
            for name, seed in (("d", 1), ("d", 1), ("d", 2), ("e", 1))
        )
        assert first == again
        assert first != other
        assert first != named


class TestStage:
    def test_dialogues_become_a_store_with_a_mask(self, build: Build, tmp_path: Path, chat: Chat) -> None:
        rows = [{"messages": TALK[:3]}, {"messages": TALK}] * 10
        written(tmp_path / "d.jsonl", *rows)
        figures, folder = build(Dialogues(name="talks", path="d.jsonl"))
        [shard] = open_tokens(folder).domains["talks"].shards
        expected = [chat.render(turns_of(row["messages"])) for row in rows]
        assert shard.ids.tolist() == [token for one in expected for token in one.ids]
        assert shard.trained is not None
        assert shard.trained.tolist() == [mark for one in expected for mark in one.trained]
        assert figures["dialogues"] == 20
        assert figures["trained tokens"] == int(np.sum(shard.trained))
        assert figures["dropped as too long"] == 0

    def test_an_answer_of_weight_0_is_a_part_of_the_prompt(self, build: Build, tmp_path: Path) -> None:
        quiet = [*TALK[:2], TALK[2] | {"weight": 0}, *TALK[3:]]
        written(tmp_path / "d.jsonl", *[{"messages": quiet}] * 20)
        _, folder = build(Dialogues(name="talks", path="d.jsonl"))
        [shard] = open_tokens(folder).domains["talks"].shards
        assert shard.trained is not None
        first = shard.trained[: int(shard.lengths[0])]
        assert np.flatnonzero(np.diff(first.astype(int))).size == 1, "one answer, at the end"

    def test_what_no_row_holds_is_dropped_whole_and_counted(self, build: Build, tmp_path: Path) -> None:
        long = [TALK[1], {"role": "assistant", "content": "Диван мягкий. " * 200}]
        written(tmp_path / "d.jsonl", *[{"messages": TALK}] * 20, {"messages": long})
        figures, folder = build(Dialogues(name="talks", path="d.jsonl"))
        assert (figures["dialogues"], figures["dropped as too long"]) == (20, 1)
        assert open_tokens(folder).domains["talks"].counts.documents == 20

    def test_texts_for_adults_are_dropped_and_counted_and_of_the_rest_so_many_are_drawn(
        self, build: Build, tmp_path: Path
    ) -> None:
        talks = [["Как дела?", f"Хорошо, {number} раз."] for number in range(200)]
        talks += [["Ты дурак?", "Сам дурак!"]] * 3
        written(tmp_path / "d.jsonl", *({"dialogue": lines} for lines in talks))
        how = {"path": "d.jsonl", "adult": "drop", "limit": 60}
        found = []
        for number, seed in enumerate((1, 1, 2)):
            figures, folder = build(Dialogues(name="talk", **how), length=64, name=f"d-{number}", seed=seed)
            assert (figures["dialogues"], figures["dropped as for adults"]) == (60, 3)
            found.append(next(folder.rglob("*.ids")).read_bytes())
        assert found[0] == found[1] != found[2]

    def test_nothing_left_is_an_error_that_says_why(self, build: Build, tmp_path: Path) -> None:
        written(tmp_path / "d.jsonl", {"messages": TALK})
        with pytest.raises(CorpusError, match="1 are longer than a row of 16 tokens; raise sequence_length"):
            build(Dialogues(name="talks", path="d.jsonl"), length=16)

    def test_archives_are_read_and_the_same_run_writes_the_same_bytes(
        self, build: Build, tmp_path: Path
    ) -> None:
        plain = written(tmp_path / "d.jsonl", *[{"messages": TALK}] * 20).read_bytes()
        (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(plain))
        with pyarrow.output_stream(str(tmp_path / "d.jsonl.zst"), compression="zstd") as file:
            file.write(plain)
        found = []
        for ending in ("", "", ".gz", ".zst"):
            dialogues = (
                Dialogues(name="talks", path=f"d.jsonl{ending}"),
                Dialogues(name="made", made=3, prompt="describe.v2"),
            )
            _, folder = build(*dialogues, length=1024, name=f"store-{len(found)}")
            found.append({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")})
        assert found[0] == found[1] == found[2] == found[3]

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("{not json", "unexpected|object key"),
            ("[1]", "no dialogue"),
            ('{"text": "x"}', "no dialogue"),
            ('{"messages": []}', "no dialogue"),
            ('{"messages": ["x"]}', "message 1 is not an object"),
            ('{"messages": [{"role": "tool", "content": "x"}]}', "unknown role 'tool'"),
            ('{"messages": [{"role": ["user"], "content": "x"}]}', "unknown role"),
            ('{"messages": [{"role": "user", "content": "x"}]}', "the last message is the user's"),
            ('{"messages": [{"role": "assistant", "content": " "}]}', r"message 1 \(assistant\): .*empty"),
            ('{"messages": [{"role": "assistant", "content": null}]}', "empty or no text"),
            ('{"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}', "weight is 0.5"),
            ('{"messages": [USER, {"role": "assistant", "content": "x", "weight": 0}]}', "none to learn"),
            ('{"messages": [{"role": "assistant", "content": "x"}]}', "nothing is asked"),
            ('{"messages": [USER, {"role": "assistant", "content": "<|im_end|>x"}]}', "special token"),
            ('{"messages": [{"role": "assistant", "content": "\\ud800"}]}', "surrogate|unexpected"),
        ],
    )
    def test_a_fault_is_told_with_file_and_line(
        self, build: Build, tmp_path: Path, line: str, told: str
    ) -> None:
        path = written(tmp_path / "d.jsonl", {"messages": TALK})
        line = line.replace("USER", '{"role": "user", "content": "x"}')
        path.write_text(path.read_text() + "\n" + line + "\n")
        with pytest.raises(CorpusError, match=told) as caught:
            build(Dialogues(name="talks", path="d.jsonl"))
        assert str(caught.value).startswith(f"{path}:3: ")
        assert "\n" not in str(caught.value)

    def test_a_broken_archive_is_told(self, build: Build, tmp_path: Path) -> None:
        rows = "".join(json.dumps({"messages": TALK}) + "\n" for _ in range(50))
        (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:-20])
        with pytest.raises(CorpusError, match="gzip archive is broken"):
            build(Dialogues(name="talks", path="d.jsonl.gz"))

    def test_a_name_that_matches_no_file_is_told_before_anything_runs(self, tmp_path: Path) -> None:
        run = Run(
            name="r", data=str(tmp_path), corpus=CORPUS, dialogues=(Dialogues(name="talks", path="*.jsonl"),)
        )
        with pytest.raises(ConfigError, match=r"talks: no file matches \*\.jsonl"):
            sft.inputs(run)
