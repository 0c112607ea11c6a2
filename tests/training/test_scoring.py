from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from training.errors import CheckpointError, TokenizerError
from training.scoring import bits_per_character, score
from training.vocabulary.loading import load_vocabulary

TEXTS = ["Продам велосипед.", "Диван, б/у", "э", "Коляска детская зимняя, в хорошем состоянии" * 4]
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def folder(*, merges: list[tuple[str, str]] | None = None, roles: Any = None, flat: bool = False) -> Path:
        place = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        signs = sorted(pre_tokenizers.ByteLevel.alphabet())
        texts = ["<s>", "</s>", *signs, *(a + b for a, b in merges or [])]
        tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(texts)}, merges or []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(["<s>", "</s>"])
        config = LlamaConfig(
            vocab_size=len(texts),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
        )
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            model.lm_head.weight.mul_(0 if flat else 40)  # far from even, so that context matters
        model.save_pretrained(place)
        tokenizer.save(str(place / "tokenizer.json"))
        told = {"bos_token": "<s>", "eos_token": "</s>"} if roles is None else roles
        (place / "tokenizer_config.json").write_text(json.dumps(told))
        return place

    return folder


def test_even_odds_cost_the_logarithm_of_the_vocabulary(make: Make) -> None:
    found = bits_per_character(make(flat=True), TEXTS)
    assert found.tokens == sum(len(text.encode()) for text in TEXTS)
    assert found.characters == sum(map(len, TEXTS))
    assert found.bits == pytest.approx(found.tokens * math.log2(258), rel=1e-5)
    assert found.value == found.bits / found.characters


def test_it_is_the_sum_over_texts_one_by_one(make: Make) -> None:
    folder = make()
    model, vocabulary = AutoModelForCausalLM.from_pretrained(folder), load_vocabulary(str(folder))
    by_hand = 0.0
    for text in TEXTS:
        ids = torch.tensor([[0, *vocabulary.encode(text)]])
        logits = model(ids).logits[0].detach().log_softmax(-1)
        by_hand -= sum(float(logits[i, ids[0, i + 1]]) for i in range(ids.shape[1] - 1)) / math.log(2)
    found = bits_per_character(folder, TEXTS, context=512)
    assert found.bits == pytest.approx(by_hand, rel=1e-4)


def test_batches_change_nothing(make: Make) -> None:
    folder = make()
    alone, together = (bits_per_character(folder, TEXTS, batch_tokens=size) for size in (1, 10_000))
    assert alone.bits == pytest.approx(together.bits, rel=1e-5)


def test_windows_score_every_token_once_with_half_a_context_behind(make: Make) -> None:
    folder = make()
    model, vocabulary = AutoModelForCausalLM.from_pretrained(folder), load_vocabulary(str(folder))
    text = "ab" * 50
    ids, context = [0, *vocabulary.encode(text)], 16
    by_hand = 0.0
    for i in range(1, len(ids)):
        end = i + 1 if i < context else 16 + 8 * -(-(i + 1 - 16) // 8)  # where the window of token i ends
        end = min(end, len(ids))
        window = ids[:end] if end <= context else [0, *ids[end - context + 1 : end]]
        logits = model(torch.tensor([window])).logits[0].detach().log_softmax(-1)
        at = i - end  # from the end
        by_hand -= float(logits[at - 1, ids[i]]) / math.log(2)
    found = bits_per_character(folder, [text], context=context)
    assert found.tokens == len(ids) - 1
    assert found.bits == pytest.approx(by_hand, rel=1e-4)


def test_tokenizers_compare_by_characters(make: Make) -> None:
    """Even odds over bytes, and over bytes and a merge that halves a text: the second is half as dear."""
    bytes_only, merged = make(flat=True), make(flat=True, merges=[("a", "b")])
    text = ["ab" * 30]
    dear, cheap = bits_per_character(bytes_only, text), bits_per_character(merged, text)
    assert cheap.value / dear.value == pytest.approx(0.5 * math.log2(259) / math.log2(258), rel=1e-5)


def test_standard_error_falls_with_more_texts(make: Make) -> None:
    folder = make()
    few, many = bits_per_character(folder, TEXTS), bits_per_character(folder, TEXTS * 16)
    assert few.value == pytest.approx(many.value, rel=1e-5)
    assert many.stderr == pytest.approx(few.stderr / 4, rel=0.2)
    assert math.isnan(bits_per_character(folder, TEXTS[:1]).stderr)


def test_eos_stands_in_for_bos(make: Make) -> None:
    folder = make(roles={"eos_token": "<s>"})
    assert bits_per_character(folder, TEXTS).bits == pytest.approx(bits_per_character(make(), TEXTS).bits)


def test_bfloat16_is_near(make: Make) -> None:
    folder = make()
    exact, near = (
        bits_per_character(folder, TEXTS, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)
    )
    assert near.value == pytest.approx(exact.value, rel=0.02)


def test_nothing_to_start_from_is_told(make: Make) -> None:
    with pytest.raises(CheckpointError, match="neither BOS nor EOS"):
        bits_per_character(make(roles={}), TEXTS)


@pytest.mark.parametrize("texts", [[], [""]])
def test_no_characters_are_told(texts: list[str], make: Make) -> None:
    folder = make()
    model = AutoModelForCausalLM.from_pretrained(folder)
    with pytest.raises(CheckpointError, match="no characters"):
        score(model, texts, vocabulary=load_vocabulary(str(folder)), context=16, batch_tokens=64)


def test_a_folder_without_weights_is_told(make: Make) -> None:
    folder = make()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no model that transformers can load"):
        bits_per_character(folder, TEXTS)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TokenizerError, match="there is no tokenizer"):
        bits_per_character(folder, TEXTS)
