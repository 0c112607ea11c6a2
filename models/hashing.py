"""sha256 of files while they are read or copied, with the bytes counted before somebody's eyes."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from tqdm import tqdm

_CHUNK: Final = 2**20  # 1 MiB: hashing is the slow part, larger reads gain nothing
_LOG_EVERY_S: Final = 10.0

_log = logging.getLogger(__name__)

Counter: TypeAlias = Callable[[int], None]  # takes note of that many more bytes


@contextmanager
def counted(paths: Sequence[Path], *, label: str, bar: bool | None) -> Iterator[Counter]:
    """Show on stderr how many of the paths' bytes are done.

    `bar`: None draws a bar on a terminal, True always, False never; without a bar it logs every ten seconds.
    """
    total = sum(path.stat().st_size for path in paths)
    disable = None if bar is None else not bar  # tqdm's None: only where stderr is no terminal
    with tqdm(
        total=total, desc=label, unit="B", unit_scale=True, unit_divisor=1024, disable=disable
    ) as shown:
        done, next_line = 0, time.monotonic() + _LOG_EVERY_S

        def count(num_bytes: int) -> None:
            nonlocal done, next_line
            done += num_bytes
            shown.update(num_bytes)
            if shown.disable and time.monotonic() >= next_line:
                next_line += _LOG_EVERY_S
                _log.info("%s: %d of %d MB", label, done // 10**6, total // 10**6)

        yield count


def digest(sources: Sequence[Path], *, count: Counter, copy: Path | None = None) -> str:
    """Return the sha256 of the files joined in order; with `copy`, write what was hashed there."""
    sha256 = hashlib.sha256()
    writer = copy.open("wb") if copy else None
    try:
        for source in sources:
            with source.open("rb") as reader:
                while chunk := reader.read(_CHUNK):
                    sha256.update(chunk)
                    if writer:
                        writer.write(chunk)
                    count(len(chunk))
    finally:
        if writer:
            writer.close()
    return sha256.hexdigest()
