"""Whether a checkpoint is this run's: the same identity, exactly these tensors. A difference is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

from training.errors import CheckpointError
from training.trainer.stored_state import Found

_SHOWN: Final = 4  # differences in one message


def require_same_run(found: Found, *, identity: Mapping[str, Any]) -> None:
    """Raise CheckpointError that names every item of the identity that differs, nested ones by path."""
    there, here = dict(_leaves(found.identity)), dict(_leaves(json.loads(json.dumps(identity))))
    _refuse(
        found,
        "of another run",
        [
            f"{name} {there.get(name, 'absent')}, here {here.get(name, 'absent')}"
            for name in sorted(there.keys() | here.keys())
            if name not in there or name not in here or there[name] != here[name]
        ],
    )


def require_same_tensors(found: Found, *, stored: Metadata, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise CheckpointError where a tensor is missing, left over, or of another shape or type."""
    there = {name: _form(entry) for name, entry in stored.state_dict_metadata.items()}
    here = {name: f"{_plain(tensor.dtype)}{list(tensor.shape)}" for name, tensor in tensors.items()}
    missing, over = sorted(here.keys() - there.keys()), sorted(there.keys() - here.keys())
    other = [name for name in sorted(here.keys() & there.keys()) if here[name] != there[name]]
    _refuse(
        found,
        "does not fit the model",
        [
            *(f"{name} is not in it" for name in missing),
            *(f"{name} is {there[name]} instead of {here[name]}" for name in other),
            *(f"{name} has no place here" for name in over),
        ],
    )


def _refuse(found: Found, what: str, differences: list[str]) -> None:
    if differences:
        more = len(differences) - _SHOWN
        shown = differences[:_SHOWN] + ([f"{more} more"] if more > 0 else [])
        raise CheckpointError(
            f"{found.folder}: checkpoint {what}: {'; '.join(shown)}. "
            "Give the run another --out, or remove the folder to begin again"
        )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _form(entry: Any) -> str:
    """Return type and shape of a stored tensor as in `float32[2, 3]`."""
    if not isinstance(entry, TensorStorageMetadata):
        return "no tensor"
    return f"{_plain(entry.properties.dtype)}{list(entry.size)}"


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
