"""Weights of a card as a verified local folder, whichever of the three kinds of place they come from.

Nothing is returned before the sha256 of every file that the card lists was compared; a finished folder is
recognised by its manifest and not hashed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.errors import StoreError
from models.folders import CACHE_VARIABLE, building, is_complete
from models.hashing import Counter, counted, digest
from models.hub import download, forget_download
from models.locations import REPOSITORY, Hub, Local, Location, Packaged, check_file_name, find_packaged, parse

__all__ = ["StoreError", "building", "default_cache", "fetch"]

_log = logging.getLogger(__name__)


def default_cache() -> Path:
    """Return $LISTING_LLM_CACHE, else listing-llm in the user's cache folder (XDG)."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser().absolute()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "listing-llm"


def fetch(
    uri: str,
    *,
    sha256: Mapping[str, str],
    cache: Path,
    progress: bool | None = None,
    verify: bool = False,
    root: Path = REPOSITORY,
) -> Path:
    """Return the local folder that holds the files named in `sha256`, verified.

    A `file://` folder is verified and returned in place; everything else gets a folder in `cache`. Safe
    against a second process and against a kill at any moment. `progress`: None shows a bar on a terminal
    and logs elsewhere, True always shows the bar, False never. `verify` hashes a folder again that was
    finished earlier. Relative `file://` paths start at `root`. Raises StoreError.
    """
    location = parse(uri, root=root)
    if not sha256:
        raise StoreError(f"{uri}: no sha256 is given, so nothing could be verified")
    for name in sha256:
        check_file_name(name, uri=uri)
    expected = {name: value.lower() for name, value in sha256.items()}
    target = cache.absolute() / _key(location, expected=expected)
    reused = is_complete(target)
    with building(
        target, resume=isinstance(location, Hub), about={"uri": uri, "sha256": expected}
    ) as partial:
        if partial is not None:
            _log.info("fetching %s", uri)
            _fill(partial, location=location, uri=uri, expected=expected, progress=progress)
    if verify and reused:
        with counted(
            [target / name for name in expected], label="verify " + uri.rpartition("/")[2], bar=progress
        ) as count:
            for name, value in expected.items():
                _compare(digest([target / name], count=count), value, place=str(target / name))
    return location.path if isinstance(location, Local) and location.path.is_dir() else target


def _key(location: Location, *, expected: Mapping[str, str]) -> str:
    """Return the cache folder's name: readable, and another one for other weights."""
    match location:
        case Hub(repo, revision):
            name, identity = repo.rpartition("/")[2], f"hf://{repo}@{revision}"
        case Local(path):
            name, identity = path.name, path.as_uri()
        case Packaged(distribution, version, file):
            name, identity = distribution, f"package://{distribution}@{version}/{file}"
    text = json.dumps([identity, sorted(expected.items())])
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _fill(
    partial: Path, *, location: Location, uri: str, expected: Mapping[str, str], progress: bool | None
) -> None:
    """Put every expected file into the partial folder and compare its hash on the way."""
    if isinstance(location, Hub):
        download(location, folder=partial, names=expected, bar=progress)
    sources = _sources(partial, location=location, uri=uri, names=set(expected))
    paths = [path for several in sources.values() for path in several]
    if lost := [path for path in paths if not path.exists()]:
        raise StoreError(f"{uri}: {lost[0].name} is not there ({lost[0]})")
    with counted(paths, label=uri.rpartition("/")[2], bar=progress) as count:
        for name, several in sources.items():
            place = partial / name
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                found = _place(several, place=place, link=isinstance(location, Local), count=count)
                _compare(found, expected[name], place=f"{uri}: {name}")
            except StoreError:
                place.unlink()  # a resumed download must not take the bad file for a good one
                raise
    forget_download(partial)


def _sources(partial: Path, *, location: Location, uri: str, names: set[str]) -> dict[str, list[Path]]:
    """Return for each expected file where its bytes are: one path, or its parts in order."""
    match location:
        case Hub():
            return {name: [partial / name] for name in names}
        case Local(path) if not path.exists():
            raise StoreError(f"{uri}: {path.name} is not there ({path})")
        case Local(path) if path.is_dir():
            return {name: [path / name] for name in names}
        case Local(path):
            only, paths = path.name, [path]
        case Packaged(file=file):
            only, paths = file, find_packaged(location)
    if names != {only}:
        raise StoreError(f"{uri}: gives {only}, but a sha256 is given for {', '.join(sorted(names))}")
    return {only: paths}


def _place(sources: Sequence[Path], *, place: Path, link: bool, count: Counter) -> str:
    """Bring the joined sources to `place` with the least disk, and return their sha256.

    A user's own file is linked by name: it may change, and the manifest watches its time. A package's file
    is linked hard: pip replaces files, never writes into them, and so the weights outlive an upgrade.
    """
    if link:
        place.symlink_to(sources[0].resolve())
    elif sources != [place] and not (len(sources) == 1 and _hard_linked(sources[0], place=place)):
        return digest(sources, count=count, copy=place)
    return digest([place], count=count)


def _hard_linked(source: Path, *, place: Path) -> bool:
    try:
        place.hardlink_to(source.resolve())
    except OSError:  # another file system, or another user's file
        return False
    return True


def _compare(found: str, expected: str, *, place: str) -> None:
    if found != expected:
        raise StoreError(f"{place} has sha256 {found}, expected {expected}")
