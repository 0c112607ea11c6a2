"""What the recipe needs of any tokenizer, whoever trained it: ids of a text, bytes of an id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of a vocabulary.

    `surface`: the bytes that it adds to a text, a word-start space included; None for special tokens and
    unused ids. `text`: how the vocabulary itself writes it. `byte`: it is a byte token of a vocabulary that
    falls back to bytes (<0x41>), or one of the 256 single bytes of a byte-level one.
    """

    text: str
    surface: bytes | None
    byte: bool = False


class Vocabulary(Protocol):
    """A tokenizer as a value. Ids are positions in `pieces`."""

    name: str
    pieces: Sequence[Piece]
    special_ids: dict[str, int]  # by text: <s>, </s>, <|im_start|> …
    roles: dict[str, int]  # bos, eos, pad, unk: those that it has
    folder: Path | None  # where its files lie, if they lie anywhere

    def encode(self, text: str) -> list[int]:
        """Return the ids of a whole text as the model gets it, without BOS and EOS."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of the ids."""
        ...

    def encode_surface(self, surface: bytes) -> list[int]:
        """Return the old pieces of exactly these bytes: no word start added, no special tokens.

        Bytes that are no whole UTF-8 characters go through byte tokens. Empty where the vocabulary has no
        way to write them.
        """
        ...
