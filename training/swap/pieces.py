"""Say which old pieces each new token is made of: what its embedding starts from.

The map goes by surface, the exact bytes that a token adds to a text. `old.encode(token_text)` would read the
token as a whole text: a stray space before every piece of a SentencePiece vocabulary, the inside of a word
taken for its start, halves of characters lost.

One case stays apart. SentencePiece puts a space before a text, so that its first word is spelled as after a
space; a byte-level vocabulary puts none, so that the first word of a text is spelled as the inside of a word.
Its rows then start from old pieces that the old model hardly met after BOS: the first token of a text is a
little worse off until training has seen some texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training.vocabulary.base import Vocabulary

# Where an old vocabulary has no token of that text: the roles a new token has are tried in this order, each
# with what may stand in for it.
_STAND_INS: Final = {"bos": ("bos",), "eos": ("eos",), "pad": ("pad", "eos"), "unk": ("unk",)}


@dataclass(frozen=True, slots=True)
class PieceFigures:
    """How the new tokens of text are spelled in old pieces; special and unused ids are left out."""

    tokens: int
    one_piece: float  # share of them that an old piece spells alone
    mean_pieces: float  # per token that is mapped
    broken: float  # share with an old piece that is only a part of a character
    unmapped: int  # tokens that the old vocabulary cannot write


def old_pieces(new: Vocabulary, *, old: Vocabulary) -> list[list[int]]:
    """Return the old ids per new id: by surface, special tokens by text, else by role.

    Empty for what has no counterpart: unused ids, special tokens such as <|im_start|> without a role,
    characters that an old vocabulary without byte tokens does not have.
    """
    special = _special_pieces(new, old=old)
    return [
        special.get(i, []) if piece.surface is None else old.encode_surface(piece.surface)
        for i, piece in enumerate(new.pieces)
    ]


def surfaces_agree(new: Vocabulary, *, old: Vocabulary, mapping: Sequence[Sequence[int]]) -> bool:
    """Return whether the old pieces of every mapped token spell exactly its bytes."""
    return len(mapping) == len(new.pieces) and all(
        b"".join(old.pieces[i].surface or b"" for i in ids) == piece.surface
        for piece, ids in zip(new.pieces, mapping, strict=True)
        if piece.surface is not None and ids
    )


def measure_pieces(new: Vocabulary, *, old: Vocabulary, mapping: Sequence[Sequence[int]]) -> PieceFigures:
    """Count how well the old vocabulary spells the new one."""
    texts = [ids for piece, ids in zip(new.pieces, mapping, strict=True) if piece.surface is not None]
    mapped = [ids for ids in texts if ids]
    parts = {i for i, piece in enumerate(old.pieces) if not _is_whole(piece.surface or b"")}
    return PieceFigures(
        tokens=len(texts),
        one_piece=sum(len(ids) == 1 for ids in mapped) / max(1, len(texts)),
        mean_pieces=sum(map(len, mapped)) / max(1, len(mapped)),
        broken=sum(not parts.isdisjoint(ids) for ids in mapped) / max(1, len(texts)),
        unmapped=len(texts) - len(mapped),
    )


def _special_pieces(new: Vocabulary, *, old: Vocabulary) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for text, i in new.special_ids.items():
        names = [name for role, names in _STAND_INS.items() if new.roles.get(role) == i for name in names]
        candidates = [old.special_ids.get(text), *(old.roles.get(name) for name in names)]
        found[i] = next(([old_id] for old_id in candidates if old_id is not None), [])
    return found


def _is_whole(surface: bytes) -> bool:
    try:
        surface.decode()
    except UnicodeDecodeError:
        return False
    return True
