from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, Gemma3Config

from training.bases import resolve_base
from training.embeddings import swap_embeddings
from training.errors import CheckpointError
from training.swap.checkpoint import open_checkpoint
from training.swap.stored import find_tensors
from training.vocabulary.loading import load_vocabulary

WIDTH = 8
Base = Callable[..., Path]


def write_tokenizer(folder: Path, *, words: list[str], roles: dict[str, str]) -> Path:
    """Write a byte-level vocabulary: roles' tokens, 256 bytes, words made by merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    for word in words:
        for end in range(2, len(word) + 1):
            if (merge := (word[: end - 1], word[end - 1])) not in merges:
                merges.append(merge)
    special = list(dict.fromkeys(roles.values()))
    texts = [*special, *alphabet, *(a + b for a, b in merges)]
    tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(texts)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {f"{role}_token": text for role, text in roles.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    return write_tokenizer(
        tmp_path / "tokenizer", words=["sofa", "bike"], roles={"bos": "<a>", "eos": "<b>", "pad": "<pad>"}
    )


@pytest.fixture
def base(tmp_path: Path) -> Base:
    def make(
        *, prefix: str = "model.", head: str | None = "lm_head.weight", config: Any = None, more: Any = None
    ) -> Path:
        folder = write_tokenizer(tmp_path / "base", words=["red"], roles={"bos": "<s>", "eos": "</s>"})
        rows = len(load_vocabulary(str(folder)).pieces)
        torch.manual_seed(0)
        tensors = {
            f"{prefix}embed_tokens.weight": torch.randn(rows, WIDTH),
            f"{prefix}layers.0.weight": torch.randn(4, WIDTH).to(torch.bfloat16),
            f"{prefix}norm.weight": torch.randn(3),
            **(more or {}),
        }
        if head:
            tensors[head] = torch.randn(rows, WIDTH)
        save_file(tensors, folder / "model.safetensors")
        settings = {"model_type": "llama", "vocab_size": rows, "bos_token_id": 0, "eos_token_id": 1}
        (folder / "config.json").write_text(json.dumps(settings | (config or {})))
        return folder

    return make


def swap(base: Path, *, tokenizer: Path, target: Path, **more: Any) -> dict[str, Any]:
    target.mkdir()
    return swap_embeddings(
        base,
        old=load_vocabulary(str(base)),
        new=load_vocabulary(str(tokenizer)),
        tokenizer=tokenizer,
        target=target,
        **{"method": "mean", "seed": 0} | more,
    )


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one for file in folder.glob("*.safetensors") for name, one in load_file(file).items()}


class TestNames:
    @pytest.mark.parametrize(
        ("prefix", "head"),
        [
            ("model.", "lm_head.weight"),
            ("language_model.model.", "language_model.lm_head.weight"),
            ("model.language_model.", "lm_head.weight"),
            ("model.language_model.", None),
            ("", "lm_head.weight"),
        ],
    )
    def test_embedding_and_head_are_found_however_nested(
        self, prefix: str, head: str | None, base: Base, tokenizer: Path, tmp_path: Path
    ) -> None:
        folder = base(prefix=prefix, head=head)
        figures = swap(folder, tokenizer=tokenizer, target=tmp_path / "out")
        before, after = loaded(folder), loaded(tmp_path / "out")
        assert before.keys() == after.keys()
        assert figures["tied"] is (head is None)
        assert {name for name in after if after[name].shape != before[name].shape} == {
            name for name in (f"{prefix}embed_tokens.weight", head) if name
        }

    def test_transformers_loads_a_model_with_a_vision_tower(self, tokenizer: Path, tmp_path: Path) -> None:
        folder = write_tokenizer(tmp_path / "base", words=["red"], roles={"bos": "<s>", "eos": "</s>"})
        sizes = {"num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 1, "hidden_size": 16}
        text = sizes | {"vocab_size": 320, "num_key_value_heads": 1, "head_dim": 8}
        vision = sizes | {"image_size": 28, "patch_size": 14}
        config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
        AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
        swap(folder, tokenizer=tokenizer, target=tmp_path / "out")
        model, told = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", output_loading_info=True)
        assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
        assert model.lm_head.weight is model.get_input_embeddings().weight
        assert model.lm_head.weight.shape == (320, 16)
        assert model.config.text_config.eos_token_id == load_vocabulary(str(tokenizer)).roles["eos"]

    def test_a_copy_of_the_embedding_is_no_head_where_the_config_ties_them(
        self, base: Base, tokenizer: Path, tmp_path: Path
    ) -> None:
        folder = base(config={"tie_word_embeddings": True})
        assert swap(folder, tokenizer=tokenizer, target=tmp_path / "out")["tied"]
        assert "lm_head.weight" not in loaded(tmp_path / "out")

    def test_a_second_table_by_token_is_refused(self, base: Base) -> None:
        rows = loaded(base())["lm_head.weight"].shape[0]
        name = "model.embed_tokens_per_layer.weight"
        with pytest.raises(CheckpointError, match=r"embed_tokens_per_layer.* has a row per token as well"):
            open_checkpoint(base(more={name: torch.zeros(rows, 3)}))

    def test_no_embedding_is_told(self, base: Base) -> None:
        folder = base()
        save_file({"transformer.wte.weight": torch.zeros(3, 3)}, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"no tensor is called …embed_tokens.weight"):
            open_checkpoint(folder)

    def test_quantized_rows_are_told(self, base: Base) -> None:
        folder = base()
        save_file(
            {"model.embed_tokens.weight": torch.zeros(3, 3, dtype=torch.int8)}, folder / "model.safetensors"
        )
        with pytest.raises(CheckpointError, match=r"is I8 \[3, 3\].*quantized"):
            open_checkpoint(folder)


class TestShards:
    def test_shards_are_small_and_their_index_leads_to_every_tensor(
        self, tokenizer: Path, tmp_path: Path
    ) -> None:
        source = resolve_base("tiny", cache=tmp_path / "cache")
        figures = swap(source, tokenizer=tokenizer, target=tmp_path / "out", shard_mb=1)
        files = sorted((tmp_path / "out").glob("*.safetensors"))
        assert len(files) == figures["files"] == 1
        tensors = {f"model.layers.{i}.weight": torch.randn(100_000) for i in range(7)}
        embedding = {"model.embed_tokens.weight": loaded(source)["model.embed_tokens.weight"]}
        save_file(tensors | embedding, source / "model.safetensors")
        swap(source, tokenizer=tokenizer, target=tmp_path / "many", shard_mb=1)
        files = sorted((tmp_path / "many").glob("*.safetensors"))
        assert [file.name for file in files] == [f"model-{i:05d}-of-00004.safetensors" for i in range(1, 5)]
        assert all(file.stat().st_size <= 1_000_000 for file in files)
        index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_bytes())
        assert {name for file in files for name in load_file(file)} == index["weight_map"].keys()
        for name, tensor in tensors.items():
            assert torch.equal(load_file(tmp_path / "many" / index["weight_map"][name])[name], tensor)

    def test_a_sharded_base_gives_what_a_whole_one_gives(
        self, base: Base, tokenizer: Path, tmp_path: Path
    ) -> None:
        folder = base()
        swap(folder, tokenizer=tokenizer, target=tmp_path / "whole")
        tensors = loaded(folder)
        (folder / "model.safetensors").unlink()
        places = {name: f"part-{i}.safetensors" for i, name in enumerate(sorted(tensors))}
        for name, file in places.items():
            save_file({name: tensors[name]}, folder / file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
        swap(folder, tokenizer=tokenizer, target=tmp_path / "parts")
        whole, parts = loaded(tmp_path / "whole"), loaded(tmp_path / "parts")
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[name], parts[name]) for name in whole)

    def test_peak_memory_is_a_few_tensors_not_the_checkpoint(self, tokenizer: Path, tmp_path: Path) -> None:
        """Half a sparse gigabyte is swapped by a process that may not have 64 MB beyond its imports."""
        folder = write_tokenizer(tmp_path / "big", words=["red"], roles={"bos": "<s>", "eos": "</s>"})
        rows, width = len(load_vocabulary(str(folder)).pieces), 4_096
        shapes = {"model.embed_tokens.weight": [rows, width], "lm_head.weight": [rows, width]}
        shapes |= {f"model.layers.{i}.weight": [width, width] for i in range(8)}  # 64 MiB each
        header: dict[str, Any] = {}
        at = 0
        for name, (height, _) in shapes.items():
            header[name] = {
                "dtype": "F32",
                "shape": shapes[name],
                "data_offsets": [at, at + 4 * height * width],
            }
            at += 4 * height * width
        text = json.dumps(header).encode()
        with (folder / "model.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + at)
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": rows}))
        (tmp_path / "out").mkdir()
        program = f"""
import re, resource
from pathlib import Path
from training.embeddings import swap_embeddings
from training.vocabulary.loading import load_vocabulary
old, new = load_vocabulary({str(folder)!r}), load_vocabulary({str(tokenizer)!r})
used = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 64 * 2**20,) * 2)
swap_embeddings(Path({str(folder)!r}), old=old, new=new, tokenizer=Path({str(tokenizer)!r}),
                target=Path({str(tmp_path / "out")!r}), method="random", seed=0, shard_mb=10_000)
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},  # an arena reserves 64 MiB
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert (tmp_path / "out" / "model.safetensors").stat().st_size > 2**29


class TestConfig:
    def test_nested_config_and_other_tokens(self, base: Base, tokenizer: Path, tmp_path: Path) -> None:
        text = {"vocab_size": 258, "bos_token_id": 0, "hidden_size": WIDTH, "tie_word_embeddings": False}
        more = {"text_config": text, "image_token_id": 257, "transformers_version": "4.51.0", "kept": 5}
        folder = base(config=more)
        (folder / "generation_config.json").write_text(
            json.dumps({"eos_token_id": [1, 106], "suppress_tokens": [5], "temperature": 0.7})
        )
        swap(folder, tokenizer=tokenizer, target=tmp_path / "out")
        config = json.loads((tmp_path / "out" / "config.json").read_bytes())
        new = load_vocabulary(str(tokenizer))
        assert config["text_config"]["vocab_size"] == config["vocab_size"] == 320
        assert config["text_config"]["bos_token_id"] == config["bos_token_id"] == new.roles["bos"]
        assert config["pad_token_id"] == new.roles["pad"]
        assert config["transformers_version"] == "5.0.0"
        assert "image_token_id" not in config  # the new vocabulary has no such token
        assert config["kept"] == 5
        generation = json.loads((tmp_path / "out" / "generation_config.json").read_bytes())
        assert generation["eos_token_id"] == new.roles["eos"]
        assert generation["temperature"] == 0.7
        assert "suppress_tokens" not in generation

    def test_a_role_that_the_new_tokenizer_lacks_is_none(self, base: Base, tmp_path: Path) -> None:
        plain = write_tokenizer(tmp_path / "plain", words=[], roles={"eos": "<end>"})
        swap(base(), tokenizer=plain, target=tmp_path / "out")
        config = json.loads((tmp_path / "out" / "config.json").read_bytes())
        assert config["bos_token_id"] is None
        assert config["eos_token_id"] == 0

    def test_only_the_new_tokenizer_goes_along(self, base: Base, tokenizer: Path, tmp_path: Path) -> None:
        folder = base()
        for name in ("tekken.json", "tokenizer.model", "tokenizer.model.v3", ".manifest.json", "report.html"):
            (tokenizer / name).write_text("{}")
        (tokenizer / "chat_template.jinja").write_text("{{ messages }}")
        (folder / "LICENSE").write_text("terms")
        (folder / "merges.txt").write_text("old")
        swap(folder, tokenizer=tokenizer, target=tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "LICENSE",
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "kept_rows.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ]


class TestBadInput:
    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    def test_what_is_missing_is_named(self, name: str, base: Base, tokenizer: Path, tmp_path: Path) -> None:
        folder = base()
        (folder / name).unlink()
        with pytest.raises(CheckpointError, match=name):
            swap(folder, tokenizer=tokenizer, target=tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())

    @pytest.mark.parametrize("left", [0, 5, 40, -1])
    def test_cut_weights_are_named(self, left: int, base: Base, tokenizer: Path, tmp_path: Path) -> None:
        file = base() / "model.safetensors"
        file.write_bytes(file.read_bytes()[:left])
        with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged or cut short"):
            swap(file.parent, tokenizer=tokenizer, target=tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())

    @pytest.mark.parametrize(
        ("index", "told"),
        [
            ("{", "no index of weights"),
            ('{"weight_map": 3}', "no index of weights"),
            ('{"weight_map": {"a": "gone.safetensors"}}', "gone.safetensors: is not there"),
            ('{"weight_map": {"a": "model.safetensors"}}', "names a, which model.safetensors does not have"),
        ],
    )
    def test_a_bad_index_is_told(self, index: str, told: str, base: Base) -> None:
        folder = base()
        (folder / "model.safetensors.index.json").write_text(index)
        with pytest.raises(CheckpointError, match=told):
            find_tensors(folder)

    def test_config_that_is_no_json(self, base: Base) -> None:
        folder = base()
        (folder / "config.json").write_text("{not json")
        with pytest.raises(CheckpointError, match=r"config\.json"):
            open_checkpoint(folder)

    def test_tokenizer_of_another_vocabulary(self, base: Base, tokenizer: Path, tmp_path: Path) -> None:
        other = write_tokenizer(tmp_path / "other", words=["sofa", "bikes"], roles={"eos": "<end>"})
        larger = write_tokenizer(
            tmp_path / "larger", words=["sofas", "bikes", "cars"], roles={"eos": "<end>"}
        )
        with pytest.raises(CheckpointError, match=r"tokenizer\.json: has ids up to"):
            swap_embeddings(
                base(),
                old=load_vocabulary(str(base())),
                new=load_vocabulary(str(other)),
                tokenizer=larger,
                target=tmp_path,
                method="mean",
                seed=0,
            )


class TestBases:
    def test_tiny_is_made_once_and_always_the_same(self, tmp_path: Path) -> None:
        first, second = (resolve_base("tiny", cache=tmp_path / place) for place in "ab")
        assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
        assert resolve_base("tiny", cache=tmp_path / "a") == first
        assert len(load_vocabulary(str(first)).pieces) == 32_000
        model = AutoModelForCausalLM.from_pretrained(first)
        assert model.lm_head.weight is not model.model.embed_tokens.weight
        assert model.config.bos_token_id == load_vocabulary(str(first)).roles["bos"]

    def test_a_folder_is_taken_as_it_is(self, base: Base, tmp_path: Path) -> None:
        folder = base()
        assert resolve_base(str(folder), cache=tmp_path / "cache") == folder
        assert not (tmp_path / "cache").exists()

    def test_a_base_without_tokenizer_tells_what_was_looked_for(self, base: Base, tmp_path: Path) -> None:
        folder = base()
        (folder / "tokenizer.json").unlink()
        with pytest.raises(CheckpointError, match=r"has no tokenizer.*tokenizer\.json.*tokenizer\.model"):
            resolve_base(str(folder), cache=tmp_path / "cache")

    @pytest.mark.parametrize(
        ("reference", "told"),
        [
            ("no/such/folder", "there is no such folder"),
            ("card:no-such-card", "there is no such card"),
            ("hf://org/name", "expected hf://org/name@revision"),
            ("hf://org/name@main", "HF_HUB_OFFLINE forbids the download"),
        ],
    )
    def test_a_base_that_is_not_to_be_had(
        self, reference: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(CheckpointError, match=told):
            resolve_base(reference, cache=tmp_path)
