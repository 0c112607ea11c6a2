"""What every kind of vocabulary shares: the bytes of each piece, and the way back from bytes to pieces."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from training.vocabulary.base import Piece

SPACE: Final = "▁"  # how SentencePiece writes a space
_BYTE_TOKEN: Final = re.compile(r"<0x([0-9A-F]{2})>")

# Halves of characters, as Python escapes them, and the sign that would be read as a space.
_BY_BYTES: Final = re.compile(f"([\udc80-\udcff{SPACE}]+)")
_NAME_LENGTH: Final = 60


class SpelledVocabulary(ABC):
    """A vocabulary that knows the bytes of its pieces; each kind adds how a text becomes ids.

    Texts never turn into special tokens: `<s>` in a document is a few ordinary pieces, whatever the kind.
    A vocabulary that puts a space before a text (SentencePiece's dummy prefix) does so in `encode`, and
    `decode` takes one space off again. What `encode` itself loses cannot come back: vocabularies with `▁` for
    a space read a `▁` in a text so, a normalizer may fold characters, a Metaspace spells `x` and ` x` alike.
    """

    def __init__(
        self,
        *,
        name: str,
        pieces: Sequence[Piece],
        special_ids: dict[str, int],
        roles: dict[str, int],
        folder: Path | None,
    ) -> None:
        self.name: str = "".join(char if char.isprintable() else "?" for char in name)[-_NAME_LENGTH:]
        self.pieces: Sequence[Piece] = pieces
        self.special_ids: dict[str, int] = special_ids
        self.roles: dict[str, int] = roles
        self.folder: Path | None = folder
        self._byte_ids = {piece.surface: i for i, piece in enumerate(pieces) if piece.byte and piece.surface}

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a whole text as the model gets it, without BOS and EOS."""

    @abstractmethod
    def _merge(self, surface: bytes) -> list[int]:
        """Return the ids that the merges alone make of the bytes; wrong where they cannot be written so."""

    @cached_property
    def prefixed(self) -> bool:
        """Whether a text gets a space put before it."""
        return self.spell(self.encode("x")).startswith(b" ")

    def spell(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of the ids; special tokens add none."""
        return b"".join(self.pieces[i].surface or b"" for i in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of the ids; special tokens add nothing, halves of characters become U+FFFD."""
        text = self.spell(ids).decode("utf-8", errors="replace")
        return text[1:] if self.prefixed and text.startswith(" ") else text

    def encode_surface(self, surface: bytes) -> list[int]:
        """Return the pieces of exactly these bytes: by merges, else byte by byte, else none at all."""
        merged = self._merge(surface)
        if self.spell(merged) == surface:
            return merged
        single = [self._byte_ids[byte] for byte in _bytes(surface) if byte in self._byte_ids]
        return single if len(single) == len(surface) else []

    def _merge_characters(self, surface: bytes, *, merge: Callable[[str], list[int]]) -> list[int]:
        """Give the whole characters to `merge` and the rest to the byte tokens: for vocabularies of text."""
        ids: list[int] = []
        for i, run in enumerate(_BY_BYTES.split(surface.decode("utf-8", errors="surrogateescape"))):
            if i % 2:  # what the pattern has caught
                rest = run.encode("utf-8", errors="surrogateescape")
                ids += [self._byte_ids[byte] for byte in _bytes(rest) if byte in self._byte_ids]
            elif run:
                ids += merge(run)
        return ids


def text_piece(text: str, *, has_bytes: bool) -> Piece:
    """Return a piece of a vocabulary of text: `▁` is a space, and `<0x41>` a byte where it `has_bytes`."""
    if has_bytes and (byte := _BYTE_TOKEN.fullmatch(text)):
        return Piece(text, bytes.fromhex(byte[1]), byte=True)
    return Piece(text, text.replace(SPACE, " ").encode())


def known_roles(names: Mapping[str, str], *, ids: Mapping[str, int]) -> dict[str, int]:
    """Return the ids of the roles whose tokens the vocabulary has."""
    return {role: ids[text] for role, text in names.items() if text in ids}


def _bytes(surface: bytes) -> list[bytes]:
    return [surface[i : i + 1] for i in range(len(surface))]
