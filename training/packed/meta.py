"""What a store of tokens was made with: the tokenizer, its size, the ids that begin and end a document."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.errors import CorpusError, TokenizerError
from training.packed.files import CURE, mapped, read_json, write_json
from training.vocabulary.base import Vocabulary
from training.vocabulary.loading import FILES

_META: Final = "meta.json"
_CHARACTERS: Final = "characters.bin"
_NARROW: Final = 2**16  # ids below it take two bytes


@dataclass(frozen=True)
class Meta:
    """The tokenizer of a store. `bos` begins and `eos` ends each document."""

    tokenizer_sha256: str
    vocab_size: int
    bos: int
    eos: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the ids on disk, little-endian: 2 bytes up to 65,536 of them, else 4."""
        return np.dtype("<u2" if self.vocab_size <= _NARROW else "<u4")


def tokenizer_sha256(folder: Path) -> str:
    """Return the sha256 of the file that `load_vocabulary` reads in the folder. Raises TokenizerError."""
    found = next((files for pattern in FILES if (files := sorted(folder.glob(pattern)))), None)
    if found is None:
        raise TokenizerError(f"{folder}: there is no tokenizer: looked for {', '.join(FILES)}")
    with found[-1].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def create_store(folder: Path, *, vocabulary: Vocabulary, vocabulary_folder: Path) -> Meta:
    """Begin a store, or go on with one of the same tokenizer.

    Raises TokenizerError where the vocabulary has no EOS, or where the store was begun with another one.
    """
    end = vocabulary.roles.get("eos")
    if end is None:
        raise TokenizerError(f"{vocabulary.name}: has no EOS, without which documents have no end")
    start = vocabulary.roles.get("bos", end)
    meta = Meta(tokenizer_sha256(vocabulary_folder), len(vocabulary.pieces), start, end)
    if (folder / _META).exists() and read_meta(folder) != meta:
        raise TokenizerError(
            f"{folder}: was begun with another tokenizer than {vocabulary_folder} holds now; "
            "remove the folder to tokenize anew"
        )
    folder.mkdir(parents=True, exist_ok=True)
    characters_begun(vocabulary).tofile(folder / _CHARACTERS)
    write_json(folder / _META, asdict(meta))
    return meta


def read_meta(folder: Path) -> Meta:
    """Return what `create_store` wrote. Raises CorpusError."""
    try:
        return Meta(**read_json(folder / _META))
    except TypeError as error:
        raise CorpusError(f"{error}; {CURE}", place=folder / _META) from error


def read_characters(folder: Path, *, meta: Meta) -> NDArray[np.uint32]:
    """Return the characters that each token begins. Raises CorpusError."""
    return mapped(folder / _CHARACTERS, dtype="<u4", count=meta.vocab_size)


def characters_begun(vocabulary: Vocabulary) -> NDArray[np.uint32]:
    """Return how many characters begin in each token: its bytes that are no continuation (0b10xxxxxx).

    So the tokens of a character in parts count it once. Special tokens spell nothing.
    """
    surfaces = [piece.surface or b"" for piece in vocabulary.pieces]
    return np.array([sum(byte & 0xC0 != 0x80 for byte in surface) for surface in surfaces], "<u4")
