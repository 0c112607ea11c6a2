"""A base checkpoint as the swap sees it: its config, its embedding, its head, and all that stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch

from training.errors import CheckpointError
from training.swap.stored import Stored, find_tensors

Rows: TypeAlias = Callable[[np.ndarray], torch.Tensor]
DTYPES: Final = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_EMBEDDING: Final = "embed_tokens.weight"  # model.…, language_model.model.…, model.language_model.…
_HEAD: Final = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A base model's folder, read but for the weights. `head` is None where it is tied to the embedding."""

    folder: Path
    config: dict[str, Any]
    embedding: Stored
    head: Stored | None
    body: tuple[Stored, ...]

    @property
    def num_rows(self) -> int:
        """Return the rows of the embedding: at least as many as the vocabulary has ids."""
        return self.embedding.shape[0]

    @property
    def width(self) -> int:
        """Return the model's hidden size."""
        return self.embedding.shape[1]


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read the config and find the tensors. Raises CheckpointError.

    Tied is what the config says; where it says nothing (transformers 4 left defaults out), what has no head.
    """
    config = read_json(folder / "config.json", missing="a base is a folder with config, weights, tokenizer")
    tensors = find_tensors(folder)
    embedding = _only(_EMBEDDING, tensors, folder=folder)
    if embedding is None:
        raise CheckpointError(f"{folder}: no tensor is called …{_EMBEDDING}: this architecture is not known")
    head = _only(_HEAD, tensors, folder=folder)
    told = [part.get("tie_word_embeddings") for part in (config, config.get("text_config") or {})]
    tied = head is None or True in told
    rows = embedding.shape[0]
    for tensor in (embedding, head):
        if tensor is not None and (tensor.dtype not in DTYPES or len(tensor.shape) != 2):
            raise CheckpointError(
                f"{tensor.file}: {tensor.name} is {tensor.dtype} {list(tensor.shape)}; "
                f"new rows can be made for a matrix of {', '.join(DTYPES)}, not for quantized weights"
            )
    if head is not None and head.shape != embedding.shape:
        raise CheckpointError(
            f"{head.file}: {head.name} is {list(head.shape)}, {embedding.name} {list(embedding.shape)}"
        )
    body = tuple(tensor for tensor in tensors if tensor not in (embedding, head))
    for tensor in body:
        if tensor.shape[:1] == (rows,) and ("embed" in tensor.name or "head" in tensor.name):
            raise CheckpointError(
                f"{tensor.file}: {tensor.name} has a row per token as well: this architecture is not known"
            )
    return Checkpoint(folder, config, embedding, None if tied else head, body)


def open_rows(tensor: Stored) -> Rows:
    """Return the reader of a matrix: ids [N] to float32 rows [N, width].

    The file is mapped read-only. What safetensors hands to torch is a writable private mapping of the whole
    file, which a machine that does not overcommit memory refuses for a shard of 10 GB.
    """
    dtype = DTYPES[tensor.dtype]
    bits = np.dtype(f"i{dtype.itemsize}")  # numpy has no bfloat16
    matrix = np.memmap(tensor.file, dtype=bits, mode="r", offset=tensor.begin, shape=tensor.shape)
    return lambda ids: torch.from_numpy(matrix[ids]).view(dtype).float()


def read_json(path: Path, *, missing: str) -> dict[str, Any]:
    """Return the object in a JSON file. Raises CheckpointError, with `missing` if there is no such file."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: is not there: {missing}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: no JSON object")
    return found


def _only(ending: str, tensors: list[Stored], *, folder: Path) -> Stored | None:
    found = [tensor for tensor in tensors if f".{tensor.name}".endswith(f".{ending}")]
    if len(found) > 1:
        names = ", ".join(tensor.name for tensor in found)
        raise CheckpointError(f"{folder}: several tensors could be {ending}: {names}")
    return found[0] if found else None
