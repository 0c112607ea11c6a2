"""Read SentencePiece's tokenizer.model, BPE or Unigram, as Llama-2 and Mistral ship it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sentencepiece import SentencePieceProcessor

from training.errors import TokenizerError
from training.vocabulary.base import Piece
from training.vocabulary.spelled import SpelledVocabulary, known_roles, text_piece

# normalizer_spec (field 3 of the model, here 18 bytes) with name "identity", no precompiled_charsmap, no
# add_dummy_prefix, no remove_extra_whitespaces, but escape_whitespaces. Serialized messages that follow each
# other are merged, and the last value of a field holds (protobuf.dev, "Encoding", "Last One Wins").
_AS_IT_IS: Final = b"\x1a\x12" + b"\x0a\x08identity" + b"\x12\x00" + b"\x18\x00" + b"\x20\x00" + b"\x28\x01"


class SentencePieceVocabulary(SpelledVocabulary):
    """A SentencePiece model; `encode` adds its dummy prefix where it has one."""

    def __init__(self, model: bytes, *, name: str, roles: Mapping[str, str], folder: Path | None) -> None:
        self._processor = SentencePieceProcessor(model_proto=model)
        self._bare = SentencePieceProcessor(model_proto=model + _AS_IT_IS)
        size = self._processor.vocab_size()
        texts = [self._processor.id_to_piece(i) for i in range(size)]
        own = {role: getattr(self._processor, f"{role}_id")() for role in ("bos", "eos", "pad", "unk")}
        super().__init__(
            name=name,
            pieces=[self._piece(text, i=i) for i, text in enumerate(texts)],
            special_ids={text: i for i, text in enumerate(texts) if self._is_special(i)},
            roles=known_roles(roles, ids={text: i for i, text in enumerate(texts)})
            | {role: i for role, i in own.items() if i >= 0},
            folder=folder,
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a whole text as the model gets it, without BOS and EOS."""
        ids: list[int] = self._processor.encode(text)
        return ids

    def _merge(self, surface: bytes) -> list[int]:
        return self._merge_characters(surface, merge=self._bare.encode)

    def _is_special(self, i: int) -> bool:
        return bool(self._processor.is_control(i) or self._processor.is_unknown(i))

    def _piece(self, text: str, *, i: int) -> Piece:
        if self._is_special(i) or self._processor.is_unused(i):
            return Piece(text, None)
        return text_piece(text, has_bytes=self._processor.is_byte(i))


def read_sentencepiece(
    path: Path, *, name: str, roles: Mapping[str, str], folder: Path | None
) -> SentencePieceVocabulary:
    """Read the file. Raises TokenizerError if it is damaged."""
    try:
        return SentencePieceVocabulary(path.read_bytes(), name=name, roles=roles, folder=folder)
    except (OSError, RuntimeError) as error:
        raise TokenizerError(f"{path}: no SentencePiece model that can be read: {error}") from error
