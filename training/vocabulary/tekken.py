"""Read tekken.json, Mistral's file of byte-level BPE for tiktoken: special tokens first, then ranks."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import tiktoken

from training.errors import TokenizerError
from training.vocabulary.base import Piece
from training.vocabulary.spelled import SpelledVocabulary, known_roles

_ROLES: Final = {"bos": "<s>", "eos": "</s>", "pad": "<pad>", "unk": "<unk>"}

# Of files up to version v7, which do not name them (mistral_common, Tekkenizer.DEPRECATED_SPECIAL_TOKENS).
_FIRST_SPECIAL: Final = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"),
    *("[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)


class TekkenVocabulary(SpelledVocabulary):
    """A tekken file, read as mistral_common reads it: cut to its size, filled up with <SPECIAL_n>."""

    def __init__(self, content: dict[str, Any], *, name: str, folder: Path | None) -> None:
        config = content["config"]
        texts = _special_texts(content)
        entries = content["vocab"][: config["default_vocab_size"] - len(texts)]
        ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in entries}
        if [*ranks.values()] != [*range(len(entries))] or any(
            bytes([byte]) not in ranks for byte in range(256)
        ):
            raise ValueError("the ranks are not 0, 1, 2 …, or a single byte is missing")
        self._encoding = tiktoken.Encoding(
            name, pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={}
        )
        self._offset = len(texts)
        special = {text: i for i, text in enumerate(texts)}
        super().__init__(
            name=name,
            pieces=[*(Piece(text, None) for text in texts), *(_piece(surface) for surface in ranks)],
            special_ids=special,
            roles=known_roles(_ROLES, ids=special),
            folder=folder,
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a whole text as the model gets it, without BOS and EOS."""
        return [self._offset + rank for rank in self._encoding.encode_ordinary(text)]

    def _merge(self, surface: bytes) -> list[int]:
        # The one way of tiktoken to encode bytes past the pattern that cuts words.
        return (
            [self._offset + rank for rank in self._encoding._encode_single_piece(surface)] if surface else []
        )


def _special_texts(content: dict[str, Any]) -> list[str]:
    texts = [f"<SPECIAL_{i}>" for i in range(content["config"]["default_num_special_tokens"])]
    named = content.get("special_tokens")
    if named is None:
        texts[: len(_FIRST_SPECIAL)] = _FIRST_SPECIAL
    for token in named or ():
        texts[token["rank"]] = token["token_str"]
    return texts


def _piece(surface: bytes) -> Piece:
    return Piece(surface.decode("utf-8", errors="backslashreplace"), surface, byte=len(surface) == 1)


def read_tekken(path: Path, *, name: str, folder: Path | None) -> TekkenVocabulary:
    """Read the file. Raises TokenizerError if it is damaged."""
    try:
        content = json.loads(path.read_bytes())
        return TekkenVocabulary(content, name=name, folder=folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TokenizerError(
            f"{path}: no tekken file that can be read: {type(error).__name__}: {error}"
        ) from error
