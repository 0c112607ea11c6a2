"""Shared ground: distributions installed for real, as far as importlib.metadata can tell."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Install = Callable[..., Path]
Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, on the path of this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def install(site: Path) -> Install:
    """Install a distribution: dist-info with a RECORD, data files in a package whose code must not run."""

    def install_one(
        name: str, version: str, files: Mapping[str, bytes], requires: Sequence[str] = ()
    ) -> Path:
        module = name.replace("-", "_")
        package, info = site / module, site / f"{module}-{version}.dist-info"
        (package / "data").mkdir(parents=True, exist_ok=True)
        info.mkdir()
        (package / "__init__.py").write_text("raise AssertionError('the code of the package was run')\n")
        for file, content in files.items():
            (package / "data" / file).write_bytes(content)
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        names = [f"{module}/__init__.py", *(f"{module}/data/{file}" for file in files)]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in names))
        importlib.invalidate_caches()
        return package / "data"

    return install_one


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start Python code as a process of its own that sees the repository and the installed packages."""
    started = []

    def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        kept = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": f"{ROOT}:{tmp_path / 'site'}",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=kept | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
