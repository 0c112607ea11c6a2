"""Made-up Russian data on which the small model that ships is fine-tuned."""

from __future__ import annotations

from pathlib import Path


def sources() -> list[Path]:
    """Return all files that decide what is made up: a stage that uses it is redone when one changes."""
    here = Path(__file__).parent
    folders = (here, here.parent / "catalogue")
    return sorted(path for folder in folders for path in folder.iterdir() if path.suffix in {".py", ".toml"})
