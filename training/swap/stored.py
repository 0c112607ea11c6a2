"""Safetensors as bytes: where each tensor of a checkpoint lies, and shards written one tensor at a time.

Nothing is loaded to be copied, so neither the size of a checkpoint nor that of a shard costs memory, and a
dtype that no library knows yet comes through unchanged.
Format: https://huggingface.co/docs/safetensors (8 bytes of header length, JSON header, data).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from safetensors import SafetensorError, safe_open

from training.errors import CheckpointError

SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_BUFFER: Final = 2**24  # 16 MiB
_ENTRY: Final = 128  # bytes: what a tensor's line in the header takes at most, beside its name


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file: `begin` to `end` are its bytes from the file's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    begin: int
    end: int

    def read(self) -> Iterator[bytes]:
        """Yield its bytes."""
        with self.file.open("rb") as file:
            file.seek(self.begin)
            left = self.end - self.begin
            while left:
                if not (found := file.read(min(left, _BUFFER))):
                    raise CheckpointError(f"{self.file}: is cut short while it is read")
                left -= len(found)
                yield found


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor to be written: its bytes are asked for when it is its turn."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    num_bytes: int
    read: Callable[[], Iterable[bytes | memoryview]]


def find_tensors(folder: Path) -> list[Stored]:
    """Return the tensors of a checkpoint in the order of its files. Raises CheckpointError."""
    index = folder / INDEX
    if not index.is_file():
        if not (folder / SINGLE).is_file():
            raise CheckpointError(f"{folder}: there are no weights: looked for {INDEX} and {SINGLE}")
        return _layout(folder / SINGLE)
    try:
        places: dict[str, str] = json.loads(index.read_bytes())["weight_map"]
        files = sorted({folder / file for file in places.values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: no index of weights: {error!r}") from error
    found = {tensor.name: tensor for file in files for tensor in _layout(file)}
    for name, file in places.items():
        if name not in found:
            raise CheckpointError(f"{index}: names {name}, which {file} does not have")
    return [tensor for name, tensor in found.items() if name in places]


def _layout(file: Path) -> list[Stored]:
    try:
        with safe_open(str(file), "np"):  # checks that header and data fit the file to the byte
            pass
        with file.open("rb") as raw:
            length = int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(length))
    except FileNotFoundError as error:
        raise CheckpointError(f"{file}: is not there, though the index names it") from error
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{file}: damaged or cut short: {error}") from error
    header.pop("__metadata__", None)
    tensors = [
        Stored(
            name, told["dtype"], tuple(told["shape"]), file, *(8 + length + at for at in told["data_offsets"])
        )
        for name, told in header.items()
    ]
    return sorted(tensors, key=lambda tensor: (tensor.begin, tensor.name))


def write_tensors(tensors: Sequence[Planned], *, folder: Path, shard_bytes: int) -> list[Path]:
    """Write shards of up to `shard_bytes` and their index; a larger tensor gets a shard of its own."""
    shards = _shards(tensors, shard_bytes=shard_bytes)
    many = len(shards) > 1
    paths = []
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors" if many else SINGLE
        paths.append(folder / name)
        with paths[-1].open("wb") as file:
            _write(shard, file=file)
    if many:
        weights = {one.name: path.name for shard, path in zip(shards, paths, strict=True) for one in shard}
        total = sum(tensor.num_bytes for tensor in tensors)
        content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weights.items()))}
        (folder / INDEX).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return paths


def _shards(tensors: Sequence[Planned], *, shard_bytes: int) -> list[list[Planned]]:
    shards: list[list[Planned]] = [[]]
    filled = 0
    for tensor in tensors:
        size = tensor.num_bytes + len(tensor.name) + _ENTRY
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size
    return shards


def _write(tensors: Sequence[Planned], *, file: IO[bytes]) -> None:
    """Write one shard. Wide dtypes come first, as in the library: so all of them are aligned."""
    ordered = sorted(tensors, key=lambda one: (-one.num_bytes // max(1, math.prod(one.shape)), one.name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for tensor in ordered:
        offsets = [at, at := at + tensor.num_bytes]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for tensor in ordered:
        written = sum(file.write(part) for part in tensor.read())
        assert written == tensor.num_bytes, f"{tensor.name}: {written} bytes of {tensor.num_bytes}"
