"""Folders that exist whole or not at all: filled under a lock, published by one rename.

The manifest is written last, so its presence means that the folder is finished. It holds the sizes of all
files, and for links also the times of what they point to, since that is not ours to keep unchanged.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from filelock import FileLock, Timeout

from models.errors import StoreError

MANIFEST: Final = ".manifest.json"
CACHE_VARIABLE: Final = "LISTING_LLM_CACHE"
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_log = logging.getLogger(__name__)


@contextmanager
def building(
    target: Path, *, resume: bool = False, about: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Path | None]:
    """Yield a partial folder to fill, or None when `target` is finished already.

    Leaving the block publishes the folder; an exception leaves no `target`. Of two processes the second
    waits for the first. What a killed or failed run left behind is thrown away, unless `resume` says that
    the block can go on from it. `about` is kept in the manifest. An OSError becomes a StoreError.
    """
    if not is_complete(target):
        with _explained(target), _locked(target):
            if not is_complete(target):
                partial = partial_folder(target)
                if not resume:
                    _remove(partial)
                partial.mkdir(exist_ok=True)
                try:
                    yield partial
                except BaseException:
                    if not resume:
                        shutil.rmtree(partial, ignore_errors=True)
                    raise
                _publish(partial, target=target, about=about)
                return
    yield None


def partial_folder(target: Path) -> Path:
    """Return where a folder lies while it is filled."""
    return target.with_name(f"{target.name}.partial")


def is_complete(folder: Path) -> bool:
    """Tell whether the folder was published and its files still are as they were, by size alone."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        return all(_stamp(folder / name) == stamp for name, stamp in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent or not a manifest of ours
        return False


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    stamp = {"size": status.st_size}
    return stamp | {"mtime_ns": status.st_mtime_ns} if path.is_symlink() else stamp


def _publish(partial: Path, *, target: Path, about: Mapping[str, Any]) -> None:
    paths = [path for path in sorted(partial.rglob("*")) if path.is_file() and path != partial / MANIFEST]
    if not paths:
        raise StoreError(f"{target}: nothing was put into the folder")
    manifest = partial / MANIFEST
    files = {path.relative_to(partial).as_posix(): _stamp(path) for path in paths}
    manifest.write_text(json.dumps({"files": files, "about": dict(about)}, indent=1, ensure_ascii=False))
    for path in [*(path for path in paths if not path.is_symlink()), manifest, partial]:
        flush(path)  # a power cut after the rename must not leave empty files behind a valid manifest
    _remove(target)  # whatever lies there is not complete: damaged, or of a crash between these two lines
    partial.rename(target)
    flush(target.parent)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the target's lock; the kernel lets go of it when the process dies, however it dies."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("waiting for another process that prepares %s", target.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or target
        if error.errno in DISK_FULL:
            cure = f"make room, or set {CACHE_VARIABLE} to a folder on a larger disk"
            raise StoreError(f"{target}: no room to write ({error.strerror}): {cure}") from error
        if error.errno in FORBIDDEN:
            cure = f"give this user the right, or set {CACHE_VARIABLE} to a folder of its own"
            raise StoreError(f"{place}: access denied ({error.strerror}): {cure}") from error
        raise StoreError(f"{place}: {error.strerror or error}") from error
