"""An exported folder at work, as the service uses it: photos against the texts of every bank's labels.

Shapes: N photos, L labels, T texts, D of the embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from models.eyes import Banks
from models.vision import clip_tokenizer, load_clip

BATCH: Final = 32


class Ranker:
    """A model of open_clip's `local-dir:`, and the text matrix of some labels of the banks."""

    def __init__(self, folder: Path, *, banks: Banks, labels: Mapping[str, Sequence[str]]) -> None:
        self._model, self._prepare = load_clip(folder)
        self._model.eval()
        self._tokenizer = clip_tokenizer(folder)
        self.labels = {bank: list(names) for bank, names in labels.items()}
        self._matrices = {
            bank: torch.stack([self._direction(banks.banks[bank].texts()[one]) for one in names])  # type: ignore[index]
            for bank, names in self.labels.items()
        }

    @torch.inference_mode()
    def _direction(self, texts: Sequence[str]) -> Tensor:
        """Return the mean direction [D] of the texts of one label."""
        found: Any = normalize(self._model.encode_text(self._tokenizer(list(texts))), dim=-1)
        return normalize(found.mean(0), dim=-1)

    @torch.inference_mode()
    def embed(self, pictures: Iterable[Image.Image]) -> Tensor:
        """Return directions [N, D]."""
        rows, waiting = [], iter(pictures)
        while some := list(islice(waiting, BATCH)):
            batch = torch.stack([self._prepare(picture) for picture in some])
            rows.append(normalize(self._model.encode_image(batch), dim=-1))
        return torch.cat(rows)

    def cosines(self, directions: Tensor) -> dict[str, Tensor]:
        """Return of each bank the cosines [N, L] to its labels."""
        return {bank: directions @ matrix.T for bank, matrix in self._matrices.items()}
