"""What old pieces a new token is made of: the same bytes, the same place in a word, the same role."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.swap.pieces import measure_pieces, old_pieces, surfaces_agree
from training.vocabulary.base import Piece, Vocabulary
from training.vocabulary.loading import load_vocabulary

SENTENCES = [
    "Продам велосипед в хорошем состоянии, почти новый. Selling a bike in good condition.",
    "Отдам котят в добрые руки, приучены к лотку. Продавал такой же велосипед прошлым летом.",
    "Сдам квартиру на длительный срок, рядом метро и парк. Перепродам коляску 🙂🙃 за 12 500 ₽.",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", "<|pad|>"]


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """A byte-level vocabulary as the recipe trains it; its merges cross characters and halve them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    folder = tmp_path_factory.mktemp("new")
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {
        "bos_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|pad|>",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))
    return load_vocabulary(str(folder))


@pytest.fixture(scope="module")
def without_bytes(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """A Unigram that knows its letters only, and no end of text."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(["Продам велосипед, отдам котят"] * 3, trainer)
    folder = tmp_path_factory.mktemp("old")
    tokenizer.save(str(folder / "tokenizer.json"))
    return load_vocabulary(str(folder))


@pytest.fixture(scope="module")
def mistral() -> Vocabulary:
    return load_vocabulary("mistral-v0.1")


@pytest.fixture(scope="module")
def olds(mistral: Vocabulary, new: Vocabulary, without_bytes: Vocabulary) -> dict[str, Vocabulary]:
    return {"mistral": mistral, "tekken": load_vocabulary("tekken"), "itself": new, "unigram": without_bytes}


def naive_pieces(new: Vocabulary, *, old: Vocabulary) -> list[list[int]]:
    """The wrong map: every token is read by the old tokenizer as a text of its own."""
    return [old.encode((piece.surface or b"").decode("utf-8", errors="replace")) for piece in new.pieces]


def by_surface(new: Vocabulary, *, old: Vocabulary) -> dict[bytes | None, list[int]]:
    return dict(zip((piece.surface for piece in new.pieces), old_pieces(new, old=old), strict=True))


def shown(ids: list[int], *, vocabulary: Vocabulary) -> list[str]:
    return [vocabulary.pieces[i].text for i in ids]


@pytest.mark.parametrize("kind", ["mistral", "tekken", "itself", "unigram"])
def test_old_pieces_spell_every_token(new: Vocabulary, olds: dict[str, Vocabulary], kind: str) -> None:
    mapping = old_pieces(new, old=olds[kind])
    assert len(mapping) == len(new.pieces)
    assert surfaces_agree(new, old=olds[kind], mapping=mapping)
    unmapped = measure_pieces(new, old=olds[kind], mapping=mapping).unmapped
    assert (unmapped > 0) == (kind == "unigram")


def test_vocabulary_maps_onto_itself_one_to_one(new: Vocabulary) -> None:
    mapping = old_pieces(new, old=new)
    assert mapping == [[i] for i in range(len(new.pieces))]
    figures = measure_pieces(new, old=new, mapping=mapping)
    assert (figures.one_piece, figures.mean_pieces, figures.unmapped) == (1.0, 1.0, 0)


def test_start_of_a_word_is_not_its_inside(new: Vocabulary, olds: dict[str, Vocabulary]) -> None:
    for kind, space in (("mistral", "▁"), ("tekken", " ")):
        mapping = by_surface(new, old=olds[kind])
        assert shown(mapping[" велосипед".encode()], vocabulary=olds[kind])[:2] == [f"{space}ве", "ло"]
        assert shown(mapping[" р".encode()], vocabulary=olds[kind]) == [f"{space}р"]
        assert shown(mapping["р".encode()], vocabulary=olds[kind]) == ["р"]
        assert shown(mapping["учены".encode()], vocabulary=olds[kind])[0] == "у"


def test_halves_of_characters_go_through_byte_tokens(new: Vocabulary, mistral: Vocabulary) -> None:
    mapping = by_surface(new, old=mistral)
    assert shown(mapping[b"\xd0"], vocabulary=mistral) == ["<0xD0>"]
    assert shown(mapping["🙂".encode()[:3]], vocabulary=mistral) == ["<0xF0>", "<0x9F>", "<0x99>"]
    figures = measure_pieces(new, old=mistral, mapping=old_pieces(new, old=mistral))
    assert 0 < figures.broken < 1


def test_special_tokens_go_by_text_then_by_role(new: Vocabulary, olds: dict[str, Vocabulary]) -> None:
    of_mistral, of_tekken, of_itself = (
        {text: mapping[i] for text, i in new.special_ids.items()}
        for mapping in (old_pieces(new, old=olds[kind]) for kind in ("mistral", "tekken", "itself"))
    )
    assert of_mistral["<unk>"] == [0]  # by its text: the new vocabulary gives it no role
    assert of_mistral["<|endoftext|>"] == [1]  # BOS
    assert of_mistral["<|im_end|>"] == of_mistral["<|pad|>"] == [2]  # EOS; Mistral has no padding
    assert of_mistral["<|im_start|>"] == []
    assert of_tekken["<|pad|>"] == [11]
    assert of_itself == {text: [i] for text, i in new.special_ids.items()}


def test_no_special_token_stands_in_for_text(new: Vocabulary, olds: dict[str, Vocabulary]) -> None:
    for old in olds.values():
        special = set(old.special_ids.values())
        for piece, ids in zip(new.pieces, old_pieces(new, old=old), strict=True):
            assert piece.surface is None or special.isdisjoint(ids)


def test_letters_that_the_old_vocabulary_lacks_are_counted(
    new: Vocabulary, without_bytes: Vocabulary
) -> None:
    mapping = old_pieces(new, old=without_bytes)
    of_surface = by_surface(new, old=without_bytes)
    assert of_surface[" велосипед".encode()]
    assert of_surface[b"k"] == of_surface["🙂".encode()[:1]] == []
    figures = measure_pieces(new, old=without_bytes, mapping=mapping)
    assert figures.tokens == len(new.pieces) - len(SPECIAL)
    assert figures.unmapped == sum(
        not ids for piece, ids in zip(new.pieces, mapping, strict=True) if piece.surface is not None
    )


def test_reading_tokens_as_texts_is_wrong_for_nearly_all(new: Vocabulary, mistral: Vocabulary) -> None:
    right, naive = old_pieces(new, old=mistral), naive_pieces(new, old=mistral)
    texts = [i for i, piece in enumerate(new.pieces) if piece.surface is not None]
    assert sum(right[i] != naive[i] for i in texts) / len(texts) > 0.95
    assert not surfaces_agree(new, old=mistral, mapping=naive)


def test_map_of_another_vocabulary_does_not_agree(new: Vocabulary, mistral: Vocabulary) -> None:
    mapping = old_pieces(new, old=mistral)
    assert not surfaces_agree(new, old=mistral, mapping=mapping[:-1])
    i = next(i for i, ids in enumerate(mapping) if len(ids) > 1)
    assert not surfaces_agree(new, old=mistral, mapping=[*mapping[:i], mapping[i][1:], *mapping[i + 1 :]])


@given(text=st.text(st.sampled_from("велосипд Прк🙂₽12\n"), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_text_in_new_tokens_is_the_text_in_their_old_pieces(
    new: Vocabulary, mistral: Vocabulary, text: str
) -> None:
    old_ids = [
        old_id for i in new.encode(text) for old_id in mistral.encode_surface(new.pieces[i].surface or b"")
    ]
    pieces: list[Piece] = [mistral.pieces[i] for i in old_ids]
    assert b"".join(piece.surface or b"?" for piece in pieces).decode() == text
