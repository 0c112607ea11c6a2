"""Read tokenizer.json: byte-level BPE, and BPE or Unigram that write a space as ▁."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, models

from training.errors import TokenizerError
from training.vocabulary.base import Piece
from training.vocabulary.spelled import SPACE, SpelledVocabulary, known_roles, text_piece

_SHOWN: Final = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]


def _alphabet() -> dict[int, str]:
    """Return the sign of each byte in byte-level vocabularies (GPT-2's `bytes_to_unicode`).

    Printable bytes stand for themselves, the others are moved to U+0100 and up, in order.
    """
    hidden = [byte for byte in range(256) if byte not in _SHOWN]
    return {byte: chr(byte) for byte in _SHOWN} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


BYTE_SIGNS: Final = _alphabet()
_BYTES: Final = {sign: byte for byte, sign in BYTE_SIGNS.items()}


class HuggingFaceVocabulary(SpelledVocabulary):
    """A tokenizer.json. Its added tokens that are not special are pieces as any other: <table> and such.

    The exception to texts being no special tokens: a Unigram that holds `<s>` finds it in a text as well.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, name: str, roles: Mapping[str, str], folder: Path | None
    ) -> None:
        self.tokenizer = tokenizer
        tokenizer.no_truncation()  # both may stand in the file, and would reach `encode`
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # their texts are split as any text
        self._byte_level = _is_byte_level(tokenizer)
        ids: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
        added = tokenizer.get_added_tokens_decoder()
        special = {token.content: i for i, token in added.items() if token.special}
        if (unknown := _unknown(tokenizer)) in ids:
            special[unknown] = ids[unknown]
            roles = {"unk": unknown, **roles}
        pieces = [Piece("", None)] * (1 + max(ids.values(), default=-1))
        has_bytes = all(f"<0x{byte:02X}>" in ids for byte in range(256))
        for text, i in ids.items():
            if text in special:
                pieces[i] = Piece(text, None)
            elif self._byte_level:
                pieces[i] = Piece(text, text.encode()) if i in added else _byte_level_piece(text)
            else:
                pieces[i] = text_piece(text, has_bytes=has_bytes)
        # The model alone does not know them: they are found in a text before it is asked.
        self._added = {pieces[i].surface: i for i, token in added.items() if not token.special}
        super().__init__(
            name=name, pieces=pieces, special_ids=special, roles=known_roles(roles, ids=ids), folder=folder
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a whole text as the model gets it, without BOS and EOS."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _merge(self, surface: bytes) -> list[int]:
        if surface in self._added:
            return [self._added[surface]]
        if self._byte_level:
            return self._ask("".join(BYTE_SIGNS[byte] for byte in surface))
        return self._merge_characters(surface, merge=lambda run: self._ask(run.replace(" ", SPACE)))

    def _ask(self, spelled: str) -> list[int]:
        """Return what the bare model makes of it: no normalizer, no pre-tokenizer, no added tokens."""
        return [token.id for token in self.tokenizer.model.tokenize(spelled)]


def read_tokenizer_json(
    path: Path, *, name: str, roles: Mapping[str, str], folder: Path | None
) -> HuggingFaceVocabulary:
    """Read the file. Raises TokenizerError if it is damaged or of a kind whose bytes cannot be told."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise TokenizerError(f"{path}: no tokenizer.json that can be read: {error}") from error
    try:
        return HuggingFaceVocabulary(tokenizer, name=name, roles=roles, folder=folder)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error


def _byte_level_piece(text: str) -> Piece:
    try:
        return Piece(text, bytes(_BYTES[sign] for sign in text), byte=len(text) == 1)
    except KeyError:  # no byte-level spelling: what was put in as it stands
        return Piece(text, text.encode())


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    """Tell the two ways of writing bytes apart. Raises TokenizerError for any third."""
    model = tokenizer.model
    if not isinstance(model, models.BPE | models.Unigram):
        raise TokenizerError(f"the model is {type(model).__name__}; only BPE and Unigram can be read")
    if isinstance(model, models.BPE) and (model.continuing_subword_prefix or model.end_of_word_suffix):
        raise TokenizerError("a BPE that marks the insides or the ends of words cannot be read")
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder)
    described = " ".join(json.dumps(_state(part), ensure_ascii=False) for part in parts if part is not None)
    if "ByteLevel" in described:
        return True
    if SPACE in described:
        return False
    raise TokenizerError(f"neither byte-level nor with {SPACE} for a space: its pieces' bytes cannot be told")


def _unknown(tokenizer: Tokenizer) -> str | None:
    model = tokenizer.model
    if isinstance(model, models.BPE):
        unknown: str | None = model.unk_token
        return unknown
    i = _state(model)["unk_id"]  # of a Unigram, which has no attribute for it
    return None if i is None else str(model.id_to_token(i))


def _state(part: Any) -> Any:
    return json.loads(part.__getstate__())
