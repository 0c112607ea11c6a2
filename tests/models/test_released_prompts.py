"""A released prompt is never edited: what was trained and measured with it would no longer be true."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from models.prompts import TEMPLATES

GOLDEN = Path(__file__).parents[1] / "golden" / "prompts.sha256"


def released() -> dict[str, str]:
    pairs = [line.split() for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    return {name: digest for digest, name in pairs}


def test_every_released_template_is_still_there() -> None:
    lost = sorted(set(released()) - {path.name for path in TEMPLATES.glob("*.jinja")})
    assert not lost, f"released templates are gone: {lost}; cards and old answers still name them"


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.name)
def test_template_is_the_released_one(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known = released().get(path.name)
    assert known, f"a new template: add this line to tests/golden/{GOLDEN.name}:\n{digest}  {path.name}"
    assert digest == known, f"{path.name} was edited after its release: undo that and write the next version"
