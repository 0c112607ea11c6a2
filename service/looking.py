"""What the eyes' worker does: photos in, their cosines to every label of the banks out.

Runs as a process of its own (`serve`), which `service.eyes_worker` starts and kills: what open_clip needs
must not come near the engine's libraries (models/vision.py tells why).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from models.errors import StoreError
from models.folders import building
from models.vision import clip_tokenizer, import_open_clip, load_clip

# Shapes: B photos, D width of the embeddings, L labels, S texts.

_MATRIX = "matrix.safetensors"
_TEXTS_AT_ONCE = 256
_AT_ONCE_CPU = 8  # photos; 32 in one go leave the processor's caches and take a third longer a photo
_TEXT_PARTS = ("text", "transformer", "token_embedding", "text_decoder")  # of open_clip's model classes


class Job(TypedDict):
    """What the parent sends first. `texts`: of each label in turn; `matrices`: where to keep its matrix."""

    folder: str
    identity: str
    texts: list[list[str]]
    matrices: str
    num_threads: int
    device: str


class Looker:
    """An open_clip model and the text matrix; needs the text tower only where no matrix is kept yet."""

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job["num_threads"])
        self._device = torch.device(job["device"])
        self._model, self._preprocess = load_clip(Path(job["folder"]), device=self._device)
        self._model.eval().to(memory_format=torch.channels_last)  # 1.4 times as fast on a CPU (Lite0)
        self._at_once = _AT_ONCE_CPU if self._device.type == "cpu" else None
        self.matrix_ld = self._kept(job)
        for part in _TEXT_PARTS:  # 1.1 GB of the multilingual models, of no use once the matrix is there
            if hasattr(self._model, part):
                delattr(self._model, part)

    @torch.inference_mode()
    def cosines(self, photos: Sequence[Image.Image]) -> Tensor:
        """Return (B, L) cosines, float32."""
        pixels = torch.stack([self._preprocess(photo) for photo in photos]).to(self._device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        parts = torch.split(pixels, self._at_once or len(photos))
        images_bd = normalize(torch.cat([self._model.encode_image(one) for one in parts]).float(), dim=-1)
        return (images_bd @ self.matrix_ld.T).cpu()

    def _kept(self, job: Job) -> Tensor:
        """Return the (L, D) text matrix: from the cache, or computed and put there if that can be."""
        made_of = [job["identity"], job["texts"], import_open_clip().__version__]
        key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
        target = Path(job["matrices"]) / f"texts-{key}"
        matrix: Tensor | None = None
        try:
            with building(target, about={"identity": job["identity"]}) as folder:
                if folder is not None:
                    matrix = self._computed(job)
                    save_file({"matrix": matrix.cpu()}, folder / _MATRIX)
        except StoreError as error:  # a full disk costs time at every start, not the captions
            logging.getLogger(__name__).warning("%s", error)
        if matrix is None:
            with suppress(OSError, SafetensorError, KeyError):  # it could not be kept, or is damaged
                matrix = load_file(target / _MATRIX)["matrix"]
        matrix = self._computed(job) if matrix is None else matrix
        return matrix.to(self._device)

    @torch.inference_mode()
    def _computed(self, job: Job) -> Tensor:
        """Return (L, D): of each label the mean of its texts' directions, of length 1 again."""
        tokenizer, texts = clip_tokenizer(Path(job["folder"])), job["texts"]
        flat = [text for several in texts for text in several]
        parts = []
        for start in range(0, len(flat), _TEXTS_AT_ONCE):
            tokens = tokenizer(flat[start : start + _TEXTS_AT_ONCE]).to(self._device)
            parts.append(normalize(self._model.encode_text(tokens).float(), dim=-1))
        texts_sd = torch.cat(parts)
        several = torch.split(texts_sd, [len(one) for one in texts])
        return normalize(torch.stack([one.mean(dim=0) for one in several]), dim=-1)


def serve() -> None:
    """Be a worker: load what the first line says, answer every batch until stdin ends."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up among the answers
    began = time.monotonic()
    try:
        looker = Looker(json.loads(source.readline()))
    except Exception as error:  # whatever a library says of a folder
        _reply(answers, {"failed": _one_line(error)})
        return
    num_labels = len(looker.matrix_ld)
    _reply(answers, {"num_labels": num_labels, "seconds": time.monotonic() - began})
    while line := source.readline():
        photos = [_photo(source, *size) for size in json.loads(line)]
        try:
            cosines = looker.cosines(photos).contiguous()
        except Exception as error:
            _reply(answers, {"failed": _one_line(error)})
            continue
        _reply(answers, {"num_photos": len(cosines)}, cosines.numpy().tobytes())


def _photo(source: BinaryIO, width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), source.read(3 * width * height))


def _reply(answers: BinaryIO, reply: dict[str, Any], data: bytes = b"") -> None:
    answers.write(json.dumps(reply).encode() + b"\n" + data)
    answers.flush()


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
