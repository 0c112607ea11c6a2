"""The small files beside the weights: configs in the new tokenizer's ids, and the tokenizer's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from training.errors import CheckpointError
from training.swap.checkpoint import Checkpoint, read_json
from training.vocabulary.base import Vocabulary

# tekken.json and tokenizer.model* stay behind: vLLM prefers them to tokenizer.json, and would read texts in
# another vocabulary.
TOKENIZER_FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
)
TERMS: Final = ("LICENSE*", "LICENCE*", "NOTICE*")  # a base's terms go on with it
_ROLES: Final = ("bos", "eos", "pad")
_ID_KEYS: Final = ("_token_id", "_token_ids", "_token_index")
_OLD_IDS: Final = (
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "force_words_ids",
    "sequence_bias",
)
# What transformers 5 asks for before it takes tokenizer.json as it stands.
_TRANSFORMERS: Final = "5.0.0"


def write_settings(
    base: Checkpoint, *, old: Vocabulary, new: Vocabulary, num_rows: int, tokenizer: Path, target: Path
) -> None:
    """Write config.json, generation_config.json, the tokenizer's files and the base's terms into `target`."""
    config = _with_ids(base.config, old=old, new=new)
    parts = [config]
    if isinstance(text := config.get("text_config"), dict):
        config["text_config"] = _with_ids(text, old=old, new=new)
        parts.append(config["text_config"])
    for part in parts:
        if part is parts[-1] or "vocab_size" in part:  # the last one is the language model's own
            part["vocab_size"] = num_rows
        part["tie_word_embeddings"] = base.head is None
    config["transformers_version"] = _version(config)
    _write_json(target / "config.json", config)

    generation = {}
    if (base.folder / "generation_config.json").is_file():
        generation = read_json(base.folder / "generation_config.json", missing="")
    generation = _with_ids(generation, old=old, new=new)
    generation["transformers_version"] = config["transformers_version"]
    _write_json(target / "generation_config.json", {key: v for key, v in generation.items() if v is not None})

    copy_files(tokenizer, TOKENIZER_FILES, target=target)
    copy_files(base.folder, TERMS, target=target)


def check_tokenizer(folder: Path, *, new: Vocabulary) -> None:
    """Raise CheckpointError unless the folder's tokenizer.json has the ids of `new`."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"{path}: is not there: the new tokenizer is written as tokenizer.json")
    try:
        ids = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True).values()
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"{path}: no tokenizer.json that can be read: {error}") from error
    if (highest := max(ids, default=-1)) >= len(new.pieces):
        raise CheckpointError(
            f"{path}: has ids up to {highest:,}, the vocabulary {new.name} only {len(new.pieces):,} of them"
        )


def _with_ids(config: dict[str, Any], *, old: Vocabulary, new: Vocabulary) -> dict[str, Any]:
    """Return the config with the new roles; other tokens keep their key if the new vocabulary has their text.

    A key that would name another token than before is left out.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key in _OLD_IDS:
            continue
        if not key.endswith(_ID_KEYS) or value is None:
            found[key] = value
            continue
        text = old.pieces[value].text if isinstance(value, int) and 0 <= value < len(old.pieces) else ""
        if text in new.special_ids:
            found[key] = new.special_ids[text]
    return found | {f"{role}_token_id": new.roles.get(role) for role in _ROLES}


def _version(config: dict[str, Any]) -> str:
    told = str(config.get("transformers_version") or "")
    major = told.partition(".")[0]
    return told if major.isdigit() and int(major) >= int(_TRANSFORMERS.partition(".")[0]) else _TRANSFORMERS


def copy_files(source: Path, patterns: tuple[str, ...], *, target: Path) -> None:
    """Copy the files of a folder that a pattern names."""
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            if path.is_file():
                shutil.copyfile(path, target / path.name)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
