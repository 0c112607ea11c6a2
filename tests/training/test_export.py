"""A trained folder becomes one that transformers and the service take; what is damaged never does."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig, LlamaConfig

from models.card import TOKENIZER_PROBE, fingerprint, load_card
from models.folders import building
from models.prompts import chat_template, prompt_versions
from models.store import StoreError, fetch
from training import config
from training.bases import resolve_base
from training.embeddings import swap_embeddings
from training.errors import CheckpointError, ConfigError
from training.export import build
from training.optimization import Export, Training
from training.recipe import Work
from training.samples import make_texts
from training.tokenizer import train_tokenizer
from training.vocabulary.loading import load_vocabulary

VOCABULARY = 1_024
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
BASES = {
    "llama": (LlamaConfig, False, torch.float32),
    "llama-tied": (LlamaConfig, True, torch.bfloat16),
    "gemma3": (Gemma3TextConfig, True, torch.float32),
}
SOURCE = config.Source(name="listings", made=1_000, domain="listings")
EXPORT = Export(name="little", licence="Apache-2.0", data='«Свои» тексты, "made up"', check_engine=False)
RUN = config.Run(
    name="little",
    corpus=config.Corpus(sources=(SOURCE,)),
    base=config.Base(checkpoint="tiny"),
    tokenizer=config.Tokenizer(vocabulary=VOCABULARY),
    embeddings=config.Embeddings(),
    training=(Training(name="cpt", trainable="all", tokens=512, batch_tokens=512, sequence_length=64,
                       learning_rate=1e-3),),
)  # fmt: skip
Exported = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [text for text, _ in make_texts(SOURCE, seed=1)]
    train_tokenizer(texts, settings=config.Tokenizer(vocabulary=VOCABULARY), folder=folder)
    return folder


def with_tokenizer(folder: Path, tokenizer: Path) -> None:
    for file in tokenizer.iterdir():
        shutil.copyfile(file, folder / file.name)


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> dict[str, Path]:
    """What a training leaves, in every architecture, and the tiny base with its vocabulary swapped."""
    place, found = tmp_path_factory.mktemp("trained"), {}
    for name, (kind, tied, dtype) in BASES.items():
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(
            kind(vocab_size=VOCABULARY, tie_word_embeddings=tied, **SIZES), dtype=dtype
        )
        found[name] = place / name
        model.save_pretrained(found[name])
        with_tokenizer(found[name], tokenizer)
    base = resolve_base("tiny", cache=place / "cache")
    found["tiny"] = place / "tiny"
    with building(found["tiny"], about={"figures": {"bits a character, listings": "3.1 → 2.25"}}) as folder:
        assert folder is not None
        (base / "LICENSE").write_text("terms of the base")
        swap_embeddings(
            base,
            old=load_vocabulary(str(base)),
            new=load_vocabulary(str(tokenizer)),
            tokenizer=tokenizer,
            target=folder,
            method="mean",
            seed=0,
        )
    return found


@pytest.fixture
def trained(tmp_path: Path, originals: dict[str, Path]) -> Callable[[str], Path]:
    """Return a copy to be damaged."""
    return lambda name: Path(shutil.copytree(originals[name], tmp_path / f"cpt-{name}"))


@pytest.fixture
def export(tmp_path: Path, tokenizer: Path) -> Exported:
    def do(folder: Path, *, place: str = "export-1", run: config.Run = RUN, **changes: Any) -> Any:
        run = run.model_copy(update={"export": EXPORT.model_copy(update=changes)})
        before = {"tokenizer": tokenizer, "cpt": folder} if run.tokenizer else {"cpt": folder}
        with building(tmp_path / place) as target:
            assert target is not None
            figures = build(Work(run, target, before, lambda *told: None), trained=folder)
        return tmp_path / place, figures

    return do


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return found


@pytest.mark.parametrize("name", [*BASES, "tiny"])
def test_transformers_loads_what_was_trained(
    name: str, export: Exported, originals: dict[str, Path], tokenizer: Path
) -> None:
    folder, figures = export(originals[name])
    before, after = tensors(originals[name]), tensors(folder)
    assert before.keys() == after.keys()
    for key, one in before.items():
        assert after[key].dtype == torch.bfloat16
        assert torch.equal(after[key], one.bfloat16()), key
    model, told = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.dtype == torch.bfloat16
    assert figures["parameters"] == sum(one.numel() for one in model.parameters())
    ours, theirs = AutoTokenizer.from_pretrained(folder), load_vocabulary(str(tokenizer))
    assert ours.encode(TOKENIZER_PROBE, add_special_tokens=False) == theirs.encode(TOKENIZER_PROBE)
    ends = {theirs.special_ids[text] for text in ("<|endoftext|>", "<|im_end|>")}
    assert set(model.generation_config.eos_token_id) == ends
    assert (folder / "chat_template.jinja").read_text() == chat_template("chatml")
    assert int(json.loads((folder / "config.json").read_bytes())["transformers_version"].split(".")[0]) >= 5
    assert not [*folder.glob("tokenizer.model*"), *folder.glob("tekken*")]


def test_the_card_is_one_that_the_service_takes(
    export: Exported, originals: dict[str, Path], tmp_path: Path
) -> None:
    folder, figures = export(
        originals["tiny"], licence_url="https://example.org/terms", notes="Строка\nи ещё"
    )
    card = load_card(folder / "little.toml")
    assert fetch(card.weights, sha256=card.weights_sha256, cache=tmp_path / "cache", progress=False) == folder
    ids = AutoTokenizer.from_pretrained(folder).encode(TOKENIZER_PROBE, add_special_tokens=False)
    assert card.tokenizer_fingerprint == fingerprint(ids)
    assert (card.vocab_size, card.context_length, card.format) == (VOCABULARY, 4_096, "hf")
    assert {settings.prompt for settings in card.tasks.values()} == {
        f"{task}.{versions[-1]}" for task, versions in prompt_versions().items()
    }
    assert (card.data, card.notes) == (EXPORT.data, "Строка\nи ещё")
    (row,) = card.evaluation
    assert (row.name, row.value) == ("bits a character, listings", 2.25)
    assert "export/deployment.toml make serve" in figures["serve"]
    assert str(folder / "little.toml") in (folder / "deployment.toml").read_text()
    readme = (folder / "README.md").read_text()
    assert all(text in readme for text in ("Apache-2.0", EXPORT.data, "2.25", "`LLM_DEPLOYMENT=", "LICENSE"))
    assert (folder / "LICENSE").read_text() == "terms of the base"


def test_what_the_licence_wants_said_stands_beside_the_weights(
    export: Exported, originals: dict[str, Path]
) -> None:
    notice = "Provided under the terms of its maker.\nThese files are modified.\n"
    folder, _ = export(originals["tiny"], notice=f"\n{notice}\n")
    assert (folder / "NOTICE").read_text() == notice
    assert "NOTICE" in (folder / "README.md").read_text()


def test_same_input_same_bytes(export: Exported, originals: dict[str, Path]) -> None:
    first, second = (export(originals["gemma3"], place=place)[0] for place in ("export-1", "export-2"))
    for path in first.iterdir():
        if path.name not in {".manifest.json", "README.md"}:  # these two tell how long it took
            there = (second / path.name).read_bytes().replace(b"export-2", b"export-1")
            assert path.read_bytes() == there, path.name


def test_shards_stay_within_their_bound(export: Exported, trained: Callable[[str], Path]) -> None:
    folder = trained("llama")
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=VOCABULARY, **SIZES | {"hidden_size": 512, "intermediate_size": 512}),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(folder)
    exported, figures = export(folder, shard_mb=1)
    shards = sorted(exported.glob("model-*.safetensors"))
    assert len(shards) == figures["files"] > 2
    card = load_card(exported / "little.toml")
    assert set(card.weights_sha256) == {path.name for path in shards}
    AutoModelForCausalLM.from_pretrained(exported)


def test_a_run_that_asks_for_it_leaves_a_packed_copy(export: Exported, originals: dict[str, Path]) -> None:
    folder, figures = export(originals["tiny"], packed_bits=8)
    card = load_card(folder / "packed" / "little.toml")
    assert (card.format, card.weights) == ("int8", "file://models/weights/little")
    assert set(card.weights_sha256) == {path.name for path in (folder / "packed" / "little").iterdir()}
    assert card.tasks == load_card(folder / "little.toml").tasks
    assert figures["packed, MB"] < figures["MB"]
    assert "packed, relative error of the weights" in (folder / "README.md").read_text()


def test_a_base_without_chat_is_exported_with_the_plain_template(
    export: Exported, trained: Callable[[str], Path]
) -> None:
    folder = trained("llama")
    told = json.loads((folder / "tokenizer_config.json").read_bytes())
    del told["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    plain = RUN.model_copy(update={"tokenizer": None, "embeddings": None})
    exported, _ = export(folder, run=plain)
    assert AutoTokenizer.from_pretrained(exported).chat_template == chat_template("plain")


def test_the_run_file_has_the_last_word(export: Exported, originals: dict[str, Path]) -> None:
    folder, _ = export(originals["tiny"], prompts={"describe": "v2"}, context_length=256)
    card = load_card(folder / "little.toml")
    assert card.context_length == 256
    assert all(settings.max_tokens <= 128 for settings in card.tasks.values())


@contextmanager
def refused(error: type[Exception], match: str, *, left: Path) -> Iterator[None]:
    """Expect one line that names the fault, and neither an export nor a half of one."""
    with pytest.raises(error, match=match) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert not list(left.glob("export-1*"))


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_a_missing_file_is_named(
    file: str, export: Exported, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = trained("tiny")
    (folder / file).unlink()
    with refused(CheckpointError, file.replace(".", r"\."), left=tmp_path):
        export(folder)


def test_truncated_weights_are_named(
    export: Exported, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    file = trained("tiny") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with refused(CheckpointError, r"model\.safetensors: damaged or cut short", left=tmp_path):
        export(file.parent)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(
    value: float, export: Exported, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = trained("llama")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    save_file(weights, folder / "model.safetensors")
    with refused(CheckpointError, r"model\.layers\.1\.mlp\.up_proj\.weight holds NaN", left=tmp_path):
        export(folder)


def test_weights_of_another_shape_are_refused(
    export: Exported, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = trained("llama")
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors")
    with refused(CheckpointError, r"missing keys: model\.norm\.weight", left=tmp_path):
        export(folder)


def test_a_tokenizer_with_more_ids_than_rows_is_of_another_checkpoint(
    export: Exported, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = trained("tiny")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["велосипедами"])
    tokenizer.save(str(folder / "tokenizer.json"))
    with refused(CheckpointError, r"has 1,025 ids, the embedding only 1,024 rows", left=tmp_path):
        export(folder)


def test_another_tokenizer_of_the_same_size_is_refused(
    export: Exported, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = trained("tiny")
    settings = config.Tokenizer(vocabulary=VOCABULARY)
    texts = [text for text, _ in make_texts(SOURCE, seed=2)][:700]
    train_tokenizer(texts, settings=settings, folder=tmp_path / "other")
    with_tokenizer(folder, tmp_path / "other")
    with refused(CheckpointError, "has other ids than what this run trained", left=tmp_path):
        export(folder)


def test_another_chat_template_than_the_runs_is_refused(
    export: Exported, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = trained("tiny")
    told = json.loads((folder / "tokenizer_config.json").read_bytes())
    told["chat_template"] = told["chat_template"].replace("<|im_end|>", "")
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    with refused(CheckpointError, r"is not models/templates/chatml\.chat\.jinja", left=tmp_path):
        export(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": {"describe": "v99"}}, r"no template describe\.v99; known are describe\.v2"),
        ({"prompts": {"translate": "v1"}}, r"no template translate\.v1"),
        ({"context_length": 8_192}, r"is 8,192, but the model has 4,096 positions"),
        ({"name": "deployment"}, r"deployment\.toml is a file of its own"),
    ],
)
def test_a_run_file_that_promises_too_much(
    changes: dict[str, Any], message: str, export: Exported, originals: dict[str, Path], tmp_path: Path
) -> None:
    with refused(ConfigError, message, left=tmp_path):
        export(originals["tiny"], **changes)


def test_a_full_disk_leaves_nothing(export: Exported, originals: dict[str, Path], tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # a write beyond fails, as on a full disk
    try:
        with refused(StoreError, "no room to write", left=tmp_path):
            export(originals["tiny"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    export(originals["tiny"])
