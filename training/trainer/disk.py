"""Files of torch.distributed.checkpoint, checksummed as they are written, with the disk's own errors kept.

torch.save (2.13) turns a failed write into a RuntimeError without its errno, "unexpected pos 704 vs 598": a
full disk could not be told from a bug.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import xxhash
from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemWriter

from training.trainer.stored_state import Stamp


class CheckedWriter(FileSystemWriter):
    """The writer of one process: one file of its shards, and rank 0's metadata; `stamps` of both by name."""

    def __init__(self, folder: Path) -> None:
        # 0 bytes ahead: tensors come one by one, without opening this thread's default GPU
        super().__init__(folder, per_thread_copy_ahead=0)
        self.stamps: dict[str, Stamp] = {}
        self.fs = _Files(self.stamps)


class _Files(FileSystem):
    def __init__(self, stamps: dict[str, Stamp]) -> None:
        self.stamps = stamps

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Generator[io.IOBase, None, None]:
        """Open a file to be written from front to back."""
        with Path(path).open(mode) as file:
            stream = _Checked(cast(BinaryIO, file))
            try:
                yield stream
            except RuntimeError:
                if stream.failure:
                    raise stream.failure from None
                raise
        self.stamps[Path(path).name.removesuffix(".tmp")] = stream.size, stream.checksum.hexdigest()


class _Checked(io.RawIOBase):
    """A file that sums what it was given, which is not always what the disk makes of it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.checksum = file, 0, xxhash.xxh3_128()
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`; keep the error if there is one."""
        try:
            written = self.file.write(data)
            self.checksum.update(data)
        except OSError as error:
            self.failure = error
            raise
        self.size += written
        return written

    def tell(self) -> int:
        """Return the bytes written."""
        return self.size

    def fileno(self) -> int:
        """Return the file's descriptor, to be fsynced."""
        return self.file.fileno()

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self.file.flush()
