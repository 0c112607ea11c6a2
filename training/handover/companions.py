"""The small files beside the weights: configs, tokenizer, chat template, the base's terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import transformers

from models.prompts import chat_template
from training.handover.tokens import load_tokenizer
from training.swap.checkpoint import read_json
from training.swap.settings import TERMS, TOKENIZER_FILES, copy_files
from training.vocabulary.base import Vocabulary

_ENDS: Final = ("<|endoftext|>", "<|im_end|>")  # of a document and of a turn: an answer is over at either
_WITHOUT: Final = "plain"  # the template of a base that knows no chat


def write_companions(trained: Path, *, config: dict[str, Any], vocabulary: Vocabulary, folder: Path) -> None:
    """Write all but the weights; no tokenizer.model and no tekken.json, which vLLM would prefer."""
    # From version 5 on, transformers takes tokenizer.json as it stands.
    version = {"transformers_version": transformers.__version__}
    _write_json(folder / "config.json", _in_bfloat16(config) | version)
    _write_json(folder / "generation_config.json", _generation(trained, vocabulary=vocabulary) | version)
    copy_files(trained, (*TOKENIZER_FILES, *TERMS), target=folder)
    template = load_tokenizer(trained).chat_template
    if isinstance(template, dict):  # several by name: "default" is what vLLM takes without a word
        template = template.get("default")
    (folder / "chat_template.jinja").write_text(template or chat_template(_WITHOUT), encoding="utf-8")


def write_notice(text: str, *, folder: Path) -> None:
    """Add the text to the folder's NOTICE, after what the base's says."""
    path = folder / "NOTICE"
    before = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n" if path.is_file() else ""
    path.write_text(f"{before}{text.strip()}\n", encoding="utf-8")


def _in_bfloat16(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with the dtype of the weights that are written."""
    found = {key: value for key, value in config.items() if key != "torch_dtype"} | {"dtype": "bfloat16"}
    if isinstance(text := found.get("text_config"), dict):
        found["text_config"] = _in_bfloat16(text)
    return found


def _generation(trained: Path, *, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the generation config as it was, with every token that ends an answer."""
    path = trained / "generation_config.json"
    config = read_json(path, missing="") if path.is_file() else {}
    told = config.get("eos_token_id")
    ends = {vocabulary.special_ids[text] for text in _ENDS if text in vocabulary.special_ids}
    if not ends:  # a vocabulary with marks of its own: what its makers named
        ends = set(told if isinstance(told, list) else [] if told is None else [told])
    if "eos" in vocabulary.roles:
        ends.add(vocabulary.roles["eos"])
    roles = {f"{role}_token_id": i for role, i in vocabulary.roles.items() if role in {"bos", "pad"}}
    return config | roles | ({"eos_token_id": sorted(ends)} if ends else {})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
