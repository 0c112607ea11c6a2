"""Tells texts for adults and abuse by their words: a model that ships must not have learned to speak so."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path


def find_adult(text: str) -> str | None:
    """Return the kind of the first such word (a key of adult.toml), or None."""
    found = _pattern().search(text.lower().replace("ё", "е"))
    return found.lastgroup if found else None


@cache
def _pattern() -> re.Pattern[str]:
    kinds = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    groups = []
    for kind, beginnings in kinds.items():
        words = "|".join(
            re.escape(word.strip()) + (r"\b" if word.endswith(" ") else "") for word in beginnings
        )
        groups.append(f"(?P<{kind}>{words})")
    return re.compile(rf"\b(?:{'|'.join(groups)})")
