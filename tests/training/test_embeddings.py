from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from training.embeddings import swap_embeddings
from training.errors import CheckpointError
from training.swap.pieces import old_pieces
from training.vocabulary.loading import load_vocabulary

WORDS = ["продам", "велосипед", "горный", "новый", "диван", "угловой", "кожаный", "телефон", "чехол"]
TEXTS = [f"{a} {b}, цена {i}" for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)]
ENGLISH = ["the quick brown fox sells a bicycle, a red sofa and an old phone"] * 20
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
BASES = {  # configuration, tied, kind of the old tokenizer, dtype
    "mistral": (MistralConfig, False, "sentencepiece", torch.float32),
    "llama": (LlamaConfig, False, "byte-level", torch.bfloat16),
    "llama-tied": (LlamaConfig, True, "byte-level", torch.float32),
    "gemma2": (Gemma2Config, True, "sentencepiece", torch.bfloat16),
    "gemma3": (Gemma3TextConfig, True, "sentencepiece", torch.float32),
    "qwen2": (Qwen2Config, True, "byte-level", torch.float32),
    "qwen3": (Qwen3Config, False, "byte-level", torch.float16),
}
Swap = Callable[..., Path]
Rows = dict[str, torch.Tensor]


def write_tokenizer(folder: Path, texts: list[str], *, kind: str, size: int, special: list[str]) -> Path:
    """Train a little BPE: byte-level, or as SentencePiece writes one (▁ for a space, byte tokens)."""
    if kind == "byte-level":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        alphabet = []
        special = [*special, "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [one for one in content["added_tokens"] if not one["content"].startswith("<0x")]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    named = {"pad_token": special[0], "bos_token": special[1], "eos_token": special[2]}
    named |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("tokenizers")
    mixed = TEXTS[:40] + ENGLISH
    kinds: dict[str, Any] = {
        "sentencepiece": (mixed, 420, ["<pad>", "<s>", "</s>"]),
        "byte-level": (mixed, 380, ["<|pad|>", "<|begin|>", "<|end|>", "<|im_start|>"]),
        "new": (TEXTS, 450, ["<pad>", "<s>", "</s>", "<|im_start|>"]),
    }
    return {
        name: write_tokenizer(
            place / name, texts, kind="byte-level" if name == "new" else name, size=size, special=special
        )
        for name, (texts, size, special) in kinds.items()
    }


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory, tokenizers: dict[str, Path]) -> Callable[[str], Path]:
    place = tmp_path_factory.mktemp("bases")

    def base(name: str) -> Path:
        folder = place / name
        if not folder.exists():
            config, tied, kind, dtype = BASES[name]
            rows = -(-len(load_vocabulary(str(tokenizers[kind])).pieces) // 16) * 16
            torch.manual_seed(1)
            model = AutoModelForCausalLM.from_config(
                config(vocab_size=rows, tie_word_embeddings=tied, **SIZES), dtype=dtype
            )
            model.save_pretrained(folder)
            for file in tokenizers[kind].iterdir():
                (folder / file.name).write_bytes(file.read_bytes())
        return folder

    return base


@pytest.fixture
def swap(tmp_path: Path, bases: Callable[[str], Path], tokenizers: dict[str, Path]) -> Swap:
    def do(name: str, *, method: str = "mean", seed: int = 0, place: str = "out", **more: Any) -> Path:
        target = tmp_path / place
        target.mkdir()
        base = bases(name)
        swap_embeddings(
            base,
            old=load_vocabulary(str(base)),
            new=load_vocabulary(str(tokenizers["new"])),
            tokenizer=tokenizers["new"],
            target=target,
            method=method,
            seed=seed,
            **{"corpus": TEXTS, "dimensions": 16} | more,
        )
        return target

    return do


def tensors(folder: Path) -> Rows:
    found: Rows = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return found


def matrices(folder: Path) -> Rows:
    """Return the embedding, and the head where it is one of its own."""
    return {
        name: one
        for name, one in tensors(folder).items()
        if name.endswith(("embed_tokens.weight", "lm_head.weight"))
    }


@pytest.mark.parametrize("name", BASES)
class TestEveryArchitecture:
    def test_all_but_the_embeddings_stays_bit_for_bit(self, name: str, swap: Swap, bases: Any) -> None:
        before, after = tensors(bases(name)), tensors(swap(name))
        assert before.keys() == after.keys()
        body = [key for key in before if not key.endswith(("embed_tokens.weight", "lm_head.weight"))]
        assert len(body) > 10
        for key in body:
            assert before[key].dtype == after[key].dtype
            assert torch.equal(before[key].view(torch.uint8), after[key].view(torch.uint8)), key

    def test_transformers_loads_it_and_answers(self, name: str, swap: Swap) -> None:
        folder = swap(name)
        model, missing = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        assert (
            not missing["missing_keys"] and not missing["unexpected_keys"] and not missing["mismatched_keys"]
        )
        assert (model.lm_head.weight is model.model.embed_tokens.weight) == BASES[name][1]
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = torch.tensor(
            [[tokenizer.bos_token_id, *tokenizer.encode("продам диван", add_special_tokens=False)]]
        )
        assert model(ids).logits.isfinite().all()
        answer = model.generate(ids, max_new_tokens=5, do_sample=False)
        assert int(answer.max()) < len(tokenizer)  # no padding row is ever chosen

    def test_rows_follow_their_old_pieces(self, name: str, swap: Swap, bases: Any, tokenizers: Any) -> None:
        old, new = load_vocabulary(str(bases(name))), load_vocabulary(str(tokenizers["new"]))
        pieces = old_pieces(new, old=old)
        before, after = matrices(bases(name)), matrices(swap(name))
        assert before.keys() == after.keys()
        assert {len(ids) for ids in pieces} >= {1, 2, 3}
        for key, rows in before.items():
            for i, ids in enumerate(pieces):
                if len(ids) == 1 and not rows[ids[0]].any():
                    assert new.pieces[i].text == "<pad>"  # zeros in a Gemma as transformers makes it
                elif len(ids) == 1:
                    assert torch.equal(after[key][i], rows[ids[0]]), new.pieces[i]
                elif ids:
                    mean = rows[ids].double().mean(0)
                    near = torch.allclose(
                        after[key][i].double(), mean, rtol=torch.finfo(rows.dtype).eps, atol=1e-7
                    )
                    assert near, new.pieces[i]

    def test_config_and_vocabulary_agree(self, name: str, swap: Swap, tokenizers: Any) -> None:
        folder = swap(name)
        config = json.loads((folder / "config.json").read_bytes())
        generation = json.loads((folder / "generation_config.json").read_bytes())
        new = load_vocabulary(str(tokenizers["new"]))
        for rows in matrices(folder).values():
            assert len(rows) == config["vocab_size"]
        assert config["vocab_size"] % 64 == 0
        assert 0 <= config["vocab_size"] - len(new.pieces) < 64
        for role in ("bos", "eos", "pad"):
            assert config[f"{role}_token_id"] == generation[f"{role}_token_id"] == new.roles[role]
        assert int(config["transformers_version"].split(".")[0]) >= 5
        assert config["tie_word_embeddings"] is BASES[name][1]

    @pytest.mark.parametrize("method", ["mean", "focus", "random", "global-mean"])
    def test_rows_are_sound_by_every_method(self, name: str, method: str, swap: Swap) -> None:
        for rows in matrices(swap(name, method=method)).values():
            assert rows.isfinite().all()
            assert (rows.float().norm(dim=1) > 0).all()


def test_head_comes_from_head_rows(swap: Swap, bases: Any) -> None:
    before, after = matrices(bases("mistral")), matrices(swap("mistral", method="focus"))
    head, embedding = after["lm_head.weight"], after["model.embed_tokens.weight"]
    lowest, highest = before["lm_head.weight"].aminmax(dim=0)
    assert ((head >= lowest - 1e-6) & (head <= highest + 1e-6)).all()  # each is a weighted mean of head rows
    assert not torch.allclose(head, embedding, atol=1e-3)


@pytest.mark.parametrize("method", ["mean", "focus", "random", "global-mean"])
def test_special_tokens_are_carried(method: str, swap: Swap, bases: Any, tokenizers: Any) -> None:
    old, new = load_vocabulary(str(bases("llama"))), load_vocabulary(str(tokenizers["new"]))
    before, after = matrices(bases("llama")), matrices(swap("llama", method=method))
    carried = {"<s>": "<|begin|>", "</s>": "<|end|>", "<pad>": "<|pad|>", "<|im_start|>": "<|im_start|>"}
    for key, rows in before.items():
        for text, was in carried.items():
            assert torch.equal(after[key][new.special_ids[text]], rows[old.special_ids[was]]), text


@pytest.mark.parametrize("method", ["mean", "focus", "random", "global-mean"])
def test_same_seed_same_bytes(method: str, swap: Swap) -> None:
    first, second = (swap("qwen3", method=method, seed=3, place=place) for place in ("a", "b"))
    assert [path.name for path in sorted(first.iterdir())] == [path.name for path in sorted(second.iterdir())]
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_random_follows_the_seed_and_the_old_rows(swap: Swap, bases: Any) -> None:
    before = matrices(bases("llama-tied"))["model.embed_tokens.weight"]
    one, other = (
        matrices(swap("llama-tied", method="random", seed=seed, place=str(seed)))["model.embed_tokens.weight"]
        for seed in (1, 2)
    )
    assert not torch.equal(one[10:400], other[10:400])
    assert float(one[10:400].std()) == pytest.approx(float(before.std()), rel=0.05)


def test_global_mean_is_that_of_the_pieces_of_text(swap: Swap, bases: Any) -> None:
    old = load_vocabulary(str(bases("gemma3")))
    before = matrices(bases("gemma3"))["model.embed_tokens.weight"]
    trained = [i for i, piece in enumerate(old.pieces) if piece.surface is not None]
    after = matrices(swap("gemma3", method="global-mean"))["model.embed_tokens.weight"]
    assert torch.allclose(after[20], before[trained].mean(0), atol=1e-6)
    assert len(trained) < len(before)  # padding and special rows do not count


@pytest.mark.parametrize("method", ["mean", "focus", "random"])
def test_padding_is_never_the_likeliest(method: str, swap: Swap, tokenizers: Any) -> None:
    num_new = len(load_vocabulary(str(tokenizers["new"])).pieces)
    head = matrices(swap("mistral", method=method))["lm_head.weight"]
    assert len(head) > num_new
    torch.manual_seed(0)
    logits = torch.randn(1_000, head.shape[1]) @ head.T
    assert (logits[:, num_new:].amax(dim=1) < logits[:, :num_new].amax(dim=1)).all()


def test_a_wrong_map_can_be_given_to_be_measured(swap: Swap, bases: Any, tokenizers: Any) -> None:
    num_new = len(load_vocabulary(str(tokenizers["new"])).pieces)
    before = matrices(bases("llama-tied"))["model.embed_tokens.weight"]
    after = matrices(swap("llama-tied", pieces=[[7]] * num_new))["model.embed_tokens.weight"]
    assert all(torch.equal(row, before[7]) for row in after[:num_new])


def test_focus_without_texts_is_the_mean(swap: Swap) -> None:
    mean, focus = swap("qwen2"), swap("qwen2", method="focus", corpus=[], place="focus")
    assert (mean / "model.safetensors").read_bytes() == (focus / "model.safetensors").read_bytes()


def test_vocabulary_with_more_ids_than_rows_is_of_another_checkpoint(
    bases: Any, tokenizers: Any, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"has 384 rows, but the vocabulary .* has 420 ids"):
        swap_embeddings(
            bases("llama"),
            old=load_vocabulary(str(tokenizers["sentencepiece"])),
            new=load_vocabulary(str(tokenizers["new"])),
            tokenizer=tokenizers["new"],
            target=tmp_path,
            method="mean",
            seed=0,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["mean", "focus", "random", "global-mean"])
def test_a_vocabulary_of_several_chunks(method: str, bases: Any, tokenizers: Any, tmp_path: Path) -> None:
    """Beyond the first 1,024 new ids none is special: whole chunks of the yardsticks carry nothing over."""
    texts = [f"{a}{b}{c} " for a in WORDS for b in WORDS for c in WORDS]
    special = ["<pad>", "<s>", "</s>"]
    folder = write_tokenizer(tmp_path / "large", texts, kind="byte-level", size=2_500, special=special)
    new = load_vocabulary(str(folder))
    assert len(new.pieces) > 1_100
    (tmp_path / "out").mkdir()
    base = bases("llama")
    swap_embeddings(
        base,
        old=load_vocabulary(str(base)),
        new=new,
        tokenizer=folder,
        target=tmp_path / "out",
        method=method,
        seed=0,
        corpus=TEXTS,
        dimensions=16,
    )
    for rows in matrices(tmp_path / "out").values():
        assert rows.isfinite().all()
        assert (rows.float().norm(dim=1) > 0).all()
        if method == "random":
            assert len(rows[3:].float().unique(dim=0)) > len(new.pieces) - 10  # no chunk repeats another
