"""What a reply in a chat may do, in the words of its prompt: one home for the service and for fine-tuning."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

__all__ = ["intents"]


@cache
def intents(role: str) -> Mapping[str, str]:
    """Return intent -> what the prompt says of it, for a seller or a buyer. Raises KeyError for others."""
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return MappingProxyType(told[role])
