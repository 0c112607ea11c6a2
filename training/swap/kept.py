"""Which rows the swap copied as they were: what a training of the new ones alone leaves in peace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training.errors import CheckpointError
from training.vocabulary.base import Vocabulary

KEPT: Final = "kept_rows.json"


def write_kept(pieces: Sequence[Sequence[int]], *, new: Vocabulary, folder: Path) -> None:
    """Write the ids that one old piece spells; not those of special tokens, whose roles are others now."""
    ids = [i for i, old in enumerate(pieces) if len(old) == 1 and new.pieces[i].surface is not None]
    (folder / KEPT).write_text(json.dumps(ids) + "\n", encoding="utf-8")


def read_kept(folder: Path) -> list[int]:
    """Return the ids. Raises CheckpointError where the folder is not fresh from the swap."""
    try:
        ids: list[int] = json.loads((folder / KEPT).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f'{folder}: has no {KEPT}: trainable = "new-embeddings" comes right after the swap; if it does, '
            "does, remove this folder, and the same command makes it anew"
        ) from error
    return ids
