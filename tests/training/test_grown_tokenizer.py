"""A vocabulary grown from a base's: what is kept keeps its ids' rows, what is new is made of what is kept."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests.training.test_tokenizer import ODD, TEXTS
from training import config
from training.bases import resolve_base
from training.embeddings import swap_embeddings
from training.errors import ConfigError, TokenizerError
from training.tokenizer import SPECIAL, train_tokenizer
from training.vocabulary.base import Vocabulary
from training.vocabulary.loading import load_vocabulary

SIZE = 1_600
FOREIGN = ["the quick brown fox jumps over the lazy dog and then another one", "шар и мир"] * 40


def spelled_base(folder: Path) -> Path:
    """A BPE with ▁ for a space and bytes for what it lacks, as Gemma's: half of it is of no use here."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    every = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=1_400, special_tokens=["<pad>", *every], show_progress=False)
    tokenizer.train_from_iterator(FOREIGN + TEXTS[::2], trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:1]  # bytes are found by falling back, not in a text
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(state))
    return folder


def bytes_base(folder: Path) -> Path:
    train_tokenizer(FOREIGN + TEXTS[::2], settings=config.Tokenizer(vocabulary=1_100), folder=folder)
    return folder


@pytest.fixture(scope="module", params=[spelled_base, bytes_base])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = request.param(tmp_path_factory.mktemp("grown") / "base")
    return made


@pytest.fixture(scope="module")
def grown(base: Path) -> Path:
    return grow(base, base.with_name("grown"))


def grow(base: Path, folder: Path, *, texts: list[str] = TEXTS, size: int = SIZE, least: int = 2) -> Path:
    settings = config.Tokenizer(vocabulary=size, grow_from="base", min_frequency=least)
    train_tokenizer(texts, settings=settings, folder=folder, base=base)
    return folder


def texts_of(vocabulary: Vocabulary) -> set[str]:
    return {piece.text for piece in vocabulary.pieces if piece.surface is not None}


def is_word(surface: bytes) -> bool:
    word = surface.decode(errors="ignore").removeprefix(" ")  # a byte-level token may hold a half letter
    return word.isalnum() or not word  # ² too


def test_it_has_the_asked_size_our_special_tokens_first_and_no_other(grown: Path) -> None:
    tokenizer = Tokenizer.from_file(str(grown / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == SIZE
    assert [tokenizer.id_to_token(i) for i in range(len(SPECIAL))] == list(SPECIAL)
    assert {token.content for token in tokenizer.get_added_tokens_decoder().values()} == set(SPECIAL)


def test_every_string_comes_back(grown: Path) -> None:
    loaded = AutoTokenizer.from_pretrained(grown)
    for text in [*TEXTS[:200], *ODD]:
        if "▁" not in text:  # a base with ▁ for a space reads it so
            assert loaded.decode(loaded.encode(text), skip_special_tokens=False) == text


def test_what_the_texts_never_use_is_gone_and_what_they_use_often_is_kept(base: Path, grown: Path) -> None:
    old, new = load_vocabulary(str(base)), load_vocabulary(str(grown))
    assert not {text for text in texts_of(new) if text.strip("▁Ġ") in {"quick", "jumps", "lazy"}}
    often = Counter(i for text in TEXTS for i in old.encode(text))
    pieces = [old.pieces[i] for i, count in often.items() if count >= 20]
    frequent = {piece.text for piece in pieces if piece.surface and is_word(piece.surface)}
    assert len(frequent) > 50
    assert frequent <= texts_of(new)


def test_new_tokens_are_merges_of_old_ones_inside_of_words_and_make_texts_shorter(
    base: Path, grown: Path, tmp_path: Path
) -> None:
    old, new = load_vocabulary(str(base)), load_vocabulary(str(grown))
    added = texts_of(new) - texts_of(old)
    assert added
    surfaces = [piece.surface for piece in new.pieces if piece.text in added]
    assert all(len(old.encode_surface(surface)) > 1 for surface in surfaces if surface)
    assert [surface for surface in surfaces if surface and not is_word(surface)] == []
    smaller = load_vocabulary(str(grow(base, tmp_path / "smaller", size=SIZE - 300)))
    text = " ".join(TEXTS)
    assert len(new.encode(text)) < len(smaller.encode(text))


def test_a_text_without_new_words_is_cut_as_the_base_cuts_it(base: Path, tmp_path: Path) -> None:
    """Where nothing is added, the kept merges run in the base's order."""
    old = load_vocabulary(str(base))
    with pytest.raises(TokenizerError, match=r"support a vocabulary of [\d,]+") as caught:
        grow(base, tmp_path / "no", size=30_000, least=50)
    reached = re.search(r"vocabulary of ([\d,]+), not", str(caught.value))
    assert reached
    largest = int(reached[1].replace(",", ""))
    new = load_vocabulary(str(grow(base, tmp_path / "new", size=largest, least=50)))
    kept = [text for text in TEXTS if {old.pieces[i].text for i in old.encode(text)} <= texts_of(new)]
    plain = [text for text in kept if {new.pieces[i].text for i in new.encode(text)} <= texts_of(old)]
    assert plain
    for text in plain:
        assert [new.pieces[i].text for i in new.encode(text)] == [
            old.pieces[i].text for i in old.encode(text)
        ]


def test_other_order_same_file(base: Path, grown: Path, tmp_path: Path) -> None:
    again = grow(base, tmp_path / "again", texts=TEXTS[::-1])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (again / name).read_bytes() == (grown / name).read_bytes()


def test_the_swap_copies_the_rows_of_kept_tokens(base: Path, grown: Path, tmp_path: Path) -> None:
    """Also of the rare ones, which FOCUS would take no other token after."""
    old, new = load_vocabulary(str(base)), load_vocabulary(str(grown))
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    source = resolve_base("tiny", cache=tmp_path / "cache")
    settings = json.loads((source / "config.json").read_text())
    shape = {key: settings[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(old.pieces), intermediate_size=64, **shape))
    model.save_pretrained(checkpoint)
    target = tmp_path / "swapped"
    target.mkdir()
    swap_embeddings(
        checkpoint, old=old, new=new, tokenizer=grown, target=target, method="focus", seed=1, corpus=TEXTS
    )
    before = load_file(checkpoint / "model.safetensors")["model.embed_tokens.weight"]
    after = load_file(target / "model.safetensors")["model.embed_tokens.weight"]
    ids = {piece.text: i for i, piece in enumerate(old.pieces)}
    whole = [i for i, piece in enumerate(new.pieces) if piece.surface and not piece.byte]
    both = [(i, ids[new.pieces[i].text]) for i in whole if new.pieces[i].text in ids]
    assert len(both) > 300
    other = [new.pieces[i].text for i, j in both if not torch.equal(after[i], before[j])]
    assert other == []


def test_what_is_no_bpe_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("а", -2.0)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    (tmp_path / "base").mkdir()
    tokenizer.save(str(tmp_path / "base/tokenizer.json"))
    with pytest.raises(TokenizerError, match="Unigram; grow_from"):
        grow(tmp_path / "base", tmp_path / "grown")
    assert not (tmp_path / "grown").exists()


def test_bytes_that_do_not_fit_and_empty_texts_are_told(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="no text"):
        grow(base, tmp_path / "grown", texts=[])
    with pytest.raises(TokenizerError, match=r"does not hold|support a vocabulary"):
        grow(base, tmp_path / "grown", texts=["шар"], size=512)


def test_a_run_file_that_grows_needs_a_base(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    sources = '[[corpus.sources]]\nname = "a"\nmade = 1\ndomain = "listings"\n'
    path.write_text(f'name = "x"\n{sources}[tokenizer]\ngrow_from = "base"\n')
    with pytest.raises(ConfigError, match=r'grow_from = "base" needs a \[base\]'):
        config.load_run(path)
