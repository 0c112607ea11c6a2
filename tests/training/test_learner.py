"""The learner: packed documents do not see each other, and the loss is transformers' own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
)

from training.errors import CheckpointError
from training.swap.kept import read_kept
from training.trainer.head import CHUNK, summed_cross_entropy
from training.trainer.learner import Learner, empty_learner
from training.trainer.parallel import world
from training.trainer.pieces import Pieces
from training.trainer.weights import Weights

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 96,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=False),
    "llama-tied": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "mistral-window": MistralConfig(**SIZES, sliding_window=16, tie_word_embeddings=False),
    "gemma3": Gemma3TextConfig(
        **SIZES,
        sliding_window=16,
        query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "gemma2-softcap": Gemma2Config(
        **SIZES, sliding_window=16, query_pre_attn_scalar=8, attn_logit_softcapping=None
    ),
    "qwen2": Qwen2Config(**{k: v for k, v in SIZES.items() if k != "head_dim"}, tie_word_embeddings=True),
}
LENGTHS = [5, 1, 40, 3, 17, 300, 2, 64]


def save(config: PreTrainedConfig, folder: Path) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model.eval()


def make(folder: Path, *, trainable: Any = "all", precision: Any = "float32") -> tuple[Learner, Weights]:
    learner = empty_learner(folder, trainable=trainable)
    return learner, Weights(learner, folder, precision=precision, world=world())


def line(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 96, (sum(LENGTHS),), generator=generator)
    positions = torch.cat([torch.arange(length) for length in LENGTHS])
    labels = torch.randint(1, 96, ids.shape, generator=generator)
    labels[::7] = -100
    return ids, positions, labels


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_documents_have_the_loss_and_gradients_that_they_have_alone(name: str, tmp_path: Path) -> None:
    model = save(CONFIGS[name], tmp_path)
    learner, weights = make(tmp_path)
    ids, positions, labels = line()
    loss = learner(ids, positions, labels, lengths=LENGTHS)
    loss.backward()
    alone = torch.zeros(())
    for begin, end in itertools.pairwise([0, *itertools.accumulate(LENGTHS)]):
        logits = model(input_ids=ids[None, begin:end]).logits[0]
        alone = alone + torch.nn.functional.cross_entropy(
            logits, labels[begin:end], reduction="sum", ignore_index=-100
        )
    alone.backward()
    assert loss.item() == pytest.approx(alone.item(), rel=1e-5)
    wanted = dict(model.named_parameters())
    for key, weight in weights.trained.items():
        assert torch.allclose(weight.grad, wanted[key].grad, rtol=1e-3, atol=1e-4), key
    assert wanted.keys() == weights.trained.keys()


def test_a_change_in_one_document_changes_nothing_in_its_neighbours(tmp_path: Path) -> None:
    save(CONFIGS["llama"], tmp_path)
    learner, _ = make(tmp_path)
    ids, positions, _ = line()
    decoder = learner.model.model
    pieces = Pieces(LENGTHS, device=torch.device("cpu"))
    before = decoder(input_ids=ids[None], position_ids=positions[None], pieces=pieces).last_hidden_state[0]
    begin = sum(LENGTHS[:4])
    ids[begin : begin + LENGTHS[4]] = 7
    after = decoder(input_ids=ids[None], position_ids=positions[None], pieces=pieces).last_hidden_state[0]
    same = (before == after).all(-1)
    assert same[:begin].all() and same[begin + LENGTHS[4] :].all()
    assert not same[begin : begin + LENGTHS[4]].any()


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_chunked_loss_and_gradients_are_those_of_plain_cross_entropy(softcap: float | None) -> None:
    torch.manual_seed(0)
    count = 2 * CHUNK + 17
    hidden = torch.randn(count, 16, requires_grad=True)
    weight = torch.randn(50, 16, requires_grad=True)
    labels = torch.randint(0, 50, (count,))
    labels[100:300] = -100
    loss = summed_cross_entropy(hidden, weight, labels, softcap=softcap)
    (loss * 0.25).backward()
    found = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    logits = hidden @ weight.T
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=-100)
    (plain * 0.25).backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    for ours, theirs in zip(found, (hidden.grad, weight.grad), strict=True):
        assert ours is not None and theirs is not None
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_rows_without_any_target_have_a_loss_of_zero_that_can_go_backwards() -> None:
    hidden, weight = torch.randn(4, 8, requires_grad=True), torch.randn(10, 8, requires_grad=True)
    loss = summed_cross_entropy(hidden, weight, torch.full((4,), -100))
    loss.backward()
    assert loss.item() == 0 and not hidden.grad.any() and not weight.grad.any()


@pytest.mark.parametrize("name", ["llama", "llama-tied"])
def test_embeddings_alone_are_trained_and_frozen_weights_get_no_gradient(name: str, tmp_path: Path) -> None:
    save(CONFIGS[name], tmp_path)
    learner, weights = make(tmp_path, trainable="embeddings", precision="bf16")
    ids, positions, labels = line()
    learner(ids, positions, labels, lengths=LENGTHS).backward()
    expected = {"model.embed_tokens.weight"} | ({"lm_head.weight"} if name == "llama" else set())
    assert weights.trained.keys() == expected
    assert all(
        weight.grad is not None and weight.dtype is torch.float32 for weight in weights.trained.values()
    )
    assert all(parameter.grad is None for _, parameter in learner.named_weights())


@pytest.mark.parametrize("name", ["llama", "llama-tied"])
def test_held_rows_get_no_gradient_and_the_others_the_same_as_ever(name: str, tmp_path: Path) -> None:
    save(CONFIGS[name], tmp_path)
    learner, weights = make(tmp_path, trainable="new-embeddings", precision="bf16")
    ids, positions, labels = line()
    learner(ids, positions, labels, lengths=LENGTHS).backward()
    free = {key: weight.grad.clone() for key, weight in weights.trained.items() if weight.grad is not None}
    held = [0, *range(10, 50), 95]
    weights.hold(held)
    weights.still()
    assert len(weights.trained) == (2 if name == "llama" else 1)
    others = [i for i in range(96) if i not in held]
    for key, weight in weights.trained.items():
        assert weight.grad is not None and not weight.grad[held].any()
        assert torch.equal(weight.grad[others], free[key][others])


def test_new_rows_alone_need_a_folder_fresh_from_the_swap(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"kept_rows\.json: trainable = \"new-embeddings\""):
        read_kept(tmp_path)
    (tmp_path / "kept_rows.json").write_text("[1, 2")
    with pytest.raises(CheckpointError, match="comes right after the swap"):
        read_kept(tmp_path)


def test_bf16_gradients_of_several_batches_add_up_in_float32(tmp_path: Path) -> None:
    save(CONFIGS["llama"], tmp_path)
    learner, weights = make(tmp_path, precision="bf16")
    ids, positions, labels = line()
    learner(ids, positions, labels, lengths=LENGTHS).backward()
    once = {name: weight.grad.clone() for name, weight in weights.trained.items() if weight.grad is not None}
    learner(ids, positions, labels, lengths=LENGTHS).backward()
    for name, weight in weights.trained.items():
        assert weight.grad is not None and weight.grad.dtype is torch.float32
        assert torch.equal(weight.grad, 2 * once[name]), name


def test_recomputed_activations_give_the_same_gradients(tmp_path: Path) -> None:
    save(CONFIGS["gemma3"], tmp_path)
    found = []
    for recompute in (False, True):
        learner, weights = make(tmp_path)
        if recompute:
            learner.model.gradient_checkpointing_enable({"use_reentrant": False})
            assert learner.model.is_gradient_checkpointing
        ids, positions, labels = line()
        learner(ids, positions, labels, lengths=LENGTHS).backward()
        found.append({name: weight.grad for name, weight in weights.trained.items()})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_base_with_nan_is_named_before_the_first_step(tmp_path: Path) -> None:
    model = save(CONFIGS["llama"], tmp_path)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = torch.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.layers\.1\.mlp\.up_proj\.weight holds NaN"):
        make(tmp_path)


def test_weights_that_are_not_the_models_are_named(tmp_path: Path) -> None:
    save(CONFIGS["llama"], tmp_path)
    CONFIGS["gemma3"].save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="has no tensor"):
        make(tmp_path)


def test_an_attention_that_would_be_another_is_refused_not_approximated(tmp_path: Path) -> None:
    save(Gemma2Config(**SIZES, query_pre_attn_scalar=8, attn_logit_softcapping=50.0), tmp_path)
    learner, _ = make(tmp_path)
    with pytest.raises(CheckpointError, match="softcap"):
        learner(*line(), lengths=LENGTHS)


def test_an_unknown_architecture_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "never-heard-of"}')
    with pytest.raises(CheckpointError, match="no model that transformers can make"):
        empty_learner(tmp_path, trainable="all")
