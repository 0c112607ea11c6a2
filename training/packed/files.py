"""Arrays on disk that are read through memory maps: whole, or refused with the name of the damaged file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from training.errors import CorpusError

CURE = "run the recipe again, which makes what is damaged anew"


def mapped(path: Path, *, dtype: DTypeLike, count: int) -> NDArray[Any]:
    """Map a file of `count` numbers. Raises CorpusError where it is missing or of another size."""
    expected = count * np.dtype(dtype).itemsize
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CorpusError(f"{error.strerror}; {CURE}", place=path) from error
    if size != expected:
        fault = "cut short" if size < expected else "changed"
        raise CorpusError(f"holds {size:,} bytes, not {expected:,}: it was {fault}; {CURE}", place=path)
    if not count:  # an empty file cannot be mapped
        return np.empty(0, dtype)
    return np.asarray(np.memmap(path, dtype, "r"))  # a plain array is sliced three times as fast as a memmap


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object. Raises CorpusError where it is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CorpusError(f"{getattr(error, 'strerror', None) or error}; {CURE}", place=path) from error
    if not isinstance(found, dict):
        raise CorpusError(f"is no JSON object; {CURE}", place=path)
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write by one rename: the file is there whole or not at all."""
    fresh = path.with_name(f"{path.name}.partial")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
