"""Makes the folder that vLLM loads: fetches a card's weights and unpacks GGUF or packed shards, once.

Runs as a process of its own (`python -m service.engine.unpack CARD CACHE`, the folder is the last line
that it prints), because GGUF needs torch and transformers, which the service does without.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from pathlib import Path

from models.card import Card, CardError, load_card
from models.store import StoreError, building, fetch
from service.engine.dequantize import unpack_shards

# Part of the unpacked folder's name: raised when what is written here changes.
LAYOUT = 1


def servable_folder(card: Card, *, cache: Path) -> Path:
    """Return the folder with config, safetensors and tokenizer of a card, made at the first call.

    Raises:
        StoreError: the weights are not to be had, or the tokenizer is not the card's.

    """
    weights = fetch(card.weights, sha256=card.weights_sha256, cache=cache / "weights")
    folder = weights if card.format == "hf" else _unpacked(card, weights=weights, cache=cache)
    found = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    if found != card.tokenizer_sha256:
        raise StoreError(
            f"card {card.name}: tokenizer.json has sha256 {found}, the card says {card.tokenizer_sha256}"
        )
    return folder


def _unpacked(card: Card, *, weights: Path, cache: Path) -> Path:
    """Return the folder with what a card's files become, made at the first call."""
    folder = cache / "servable" / f"{card.name}-{_identity(card)[:12]}-{LAYOUT}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with building(folder, about={"card": card.name, "weights": card.weights}) as partial:
        if partial is None:
            return folder
        if card.format == "gguf":
            (name,) = card.weights_sha256
            print(f"unpacking {name}: about a minute, once", file=sys.stderr, flush=True)
            unpack_gguf(weights / name, partial)
        else:
            print(f"unpacking {card.name}: a few seconds, once", file=sys.stderr, flush=True)
            unpack_shards(weights, partial, files=card.weights_sha256)
    return folder


def _identity(card: Card) -> str:
    """Return a sha256 that is another one for other files; of a single file it is the file's own."""
    if len(card.weights_sha256) == 1:
        (digest,) = card.weights_sha256.values()
        return digest
    return hashlib.sha256(json.dumps(sorted(card.weights_sha256.items())).encode()).hexdigest()


def unpack_gguf(source: Path, target: Path) -> None:
    """Write the dequantized bfloat16 weights, the config and the tokenizer of a GGUF file into `target`."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # the file is local; transformers must not look for it on a hub
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    # transformers parses the file three times, 16 s each for 262k tokens; one parse is enough.
    gguf.GGUFReader = functools.cache(gguf.GGUFReader)  # type: ignore[misc, assignment]
    place = str(source.parent)
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=source.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def main(card: str, cache: str) -> int:
    """Print the folder, or one line that says what is wrong."""
    try:
        print(servable_folder(load_card(card), cache=Path(cache)))
    except (CardError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
