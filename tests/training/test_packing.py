"""The packing stage: the same ids as the tokenizer gives, and the same bytes after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.training.packed_corpus import RUN, TEXTS, build_packing, content, write_material
from tests.training.token_stores import epoch
from training.packed.rows import open_rows
from training.packed.store import open_tokens
from training.vocabulary.loading import load_vocabulary


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_material(tmp_path_factory.mktemp("material"))


def test_documents_are_what_the_tokenizer_makes_of_them_between_bos_and_eos(
    tmp_path: Path, material: Path
) -> None:
    figures = build_packing(tmp_path, material, lengths=[256, 1024])
    vocabulary = load_vocabulary(str(material / "tokenizer"))
    store, end = open_tokens(tmp_path), vocabulary.roles["eos"]
    for domain, texts in TEXTS.items():
        for shard, part in enumerate(store.domains[domain].shards):
            ids = [i for text in texts[shard::2] for i in (end, *vocabulary.encode(text), end)]
            assert part.ids.tolist() == ids
    num_tokens = sum(len(vocabulary.encode(text)) + 1 for texts in TEXTS.values() for text in texts)
    assert (figures["documents"], figures["tokens"]) == (600, num_tokens)
    characters = sum(len(text) for texts in TEXTS.values() for text in texts)
    assert epoch(open_rows(tmp_path, length=1024)).characters == characters
    assert figures["share full, 1024"] > 0.95


def test_vocabularies_of_other_kinds_are_taken_too(tmp_path: Path, material: Path) -> None:
    folder = load_vocabulary("mistral-v0.1").folder
    assert folder is not None
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer/tokenizer.model").write_bytes((folder / "tokenizer.model.v1").read_bytes())
    build_packing(tmp_path / "out", material, vocabulary_folder=tmp_path / "tokenizer")
    vocabulary = load_vocabulary("mistral-v0.1")
    first = open_tokens(tmp_path / "out").domains["listings"].shards[0]
    assert first.ids[: first.lengths[0]].tolist() == [1, *vocabulary.encode(TEXTS["listings"][0]), 2]


def test_killed_run_goes_on_from_the_last_finished_shard_with_the_same_bytes(
    tmp_path: Path, material: Path
) -> None:
    build_packing(tmp_path / "whole", material)
    out = tmp_path / "killed"
    program = f"""
        import json
        from pathlib import Path
        from training import config, packing
        from training.packed.tokens import TokenWriter
        run = config.Run.model_validate_json({json.dumps(RUN)!r})
        add = TokenWriter.add
        def slow(self, ids):
            if self._path.parent.name == "reviews" and self.counts.documents > 9:
                print("now", flush=True)
                __import__("time").sleep(60)
            add(self, ids)
        TokenWriter.add = slow
        work = packing.Work(run, Path({str(out)!r}), {{"corpus": Path({str(material / "corpus")!r})}}, print)
        packing.build(work, vocabulary_folder=Path({str(material / "tokenizer")!r}), lengths=[256])
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert any(line.startswith("now") for line in running.stdout)
        os.kill(running.pid, signal.SIGKILL)
    finished = out / "tokens/listings/00000.ids"
    before = finished.stat().st_mtime_ns
    build_packing(out, material)
    assert finished.stat().st_mtime_ns == before
    assert content(out) == content(tmp_path / "whole")


def test_shard_that_was_cut_while_the_run_was_down_is_made_anew(tmp_path: Path, material: Path) -> None:
    build_packing(tmp_path, material)
    whole = content(tmp_path)
    path = tmp_path / "tokens/listings/00001.ids"
    path.write_bytes(path.read_bytes()[:-7])
    build_packing(tmp_path, material)
    assert content(tmp_path) == whole
