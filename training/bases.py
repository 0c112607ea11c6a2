"""The base checkpoint that a run starts from, as a folder with config, safetensors and tokenizer.

hf://org/name@revision   from the Hugging Face Hub, held by its revision alone
card:NAME                what models/cards/NAME.toml serves; GGUF is unpacked
tiny                     a random Llama of 4M parameters with Mistral's real vocabulary
anything else            a folder
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from models.card import CardError, load_card
from models.hub import download, forget_download
from models.locations import Hub, parse
from models.store import StoreError, building, fetch
from training.errors import CheckpointError
from training.vocabulary.loading import FILES, load_vocabulary

# Mistral's repositories hold their weights twice; the other name is consolidated*.safetensors.
_WEIGHTS: Final = "model*.safetensors"
_LAYOUT: Final = 2  # of what is made here: part of a folder's name, raised when it changes


def resolve_base(reference: str, *, cache: Path) -> Path:
    """Return the folder of a base, fetched or made in `cache` at the first call. Raises CheckpointError."""
    try:
        if reference == "tiny":
            folder = _made(cache / "bases" / f"tiny-{_LAYOUT}", fill=_write_tiny)
        elif reference.startswith("hf://"):
            folder = _from_hub(reference, cache=cache)
        elif reference.startswith("card:"):
            folder = _from_card(reference.removeprefix("card:"), cache=cache)
        else:
            folder = Path(reference).expanduser()
    except (CardError, StoreError) as error:
        raise CheckpointError(f"base {reference}: {error}") from error
    if not folder.is_dir():
        raise CheckpointError(
            f"base {reference}: there is no such folder; a base is a folder, hf://org/name@revision, "
            "card:NAME or tiny"
        )
    if not any(found for pattern in FILES for found in folder.glob(pattern)):
        raise CheckpointError(
            f"base {reference}: {folder} has no tokenizer, without which its rows mean nothing: "
            f"looked for {', '.join(FILES)}"
        )
    return folder


def _made(target: Path, *, fill: Callable[[Path], None], resume: bool = False) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with building(target, resume=resume) as partial:
        if partial is not None:
            fill(partial)
    return target


def _from_hub(uri: str, *, cache: Path) -> Path:
    location = parse(uri)
    assert isinstance(location, Hub)

    def fill(folder: Path) -> None:
        download(location, folder=folder, names=[_WEIGHTS], bar=None)
        forget_download(folder)

    name = f"{location.repo.rpartition('/')[2]}-{hashlib.sha256(uri.encode()).hexdigest()[:12]}"
    return _made(cache / "bases" / name, fill=fill, resume=True)


def _from_card(name: str, *, cache: Path) -> Path:
    card = load_card(name)
    weights = fetch(card.weights, sha256=card.weights_sha256, cache=cache / "weights")
    if card.format == "hf":
        return weights
    if card.format == "int8":
        raise CheckpointError(
            f"card:{name} is rounded to be shipped: train on from the export that it was made of, or its base"
        )
    ((file, digest),) = card.weights_sha256.items()
    target = cache / "bases" / f"{card.name}-{digest[:12]}-{_LAYOUT}"
    return _made(target, fill=functools.partial(_unpack, weights / file))


def _unpack(source: Path, target: Path) -> None:
    """Write a GGUF file's weights as bfloat16 safetensors, with its config and its tokenizer."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the file is here; transformers need not ask for it
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place, file = str(source.parent), source.name
    plain = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=file, quantization_config=plain, dtype=torch.bfloat16
    )
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(place, gguf_file=file).save_pretrained(target)


def _write_tiny(folder: Path) -> None:
    """Write a seeded random model whose head is its own, so that a run takes that path as well."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = load_vocabulary("mistral-v0.1")
    config = LlamaConfig(
        vocab_size=len(vocabulary.pieces),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,  # vLLM on a CPU takes none of 16
        max_position_embeddings=4_096,  # a prompt for /describe takes 1,410 tokens of tiny.toml's vocabulary
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    assert vocabulary.folder is not None, "a shipped vocabulary lies somewhere"
    shutil.copyfile(vocabulary.folder / "tokenizer.model.v1", folder / "tokenizer.model")
