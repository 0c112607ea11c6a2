"""How a parameter's name is said in Russian: sellers' feeds call it «StrapType», forms «Параметр 3»."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from service import lexicon

_NUMBERED = re.compile(r"[\s_№-]*\d+$")


@cache
def _labels() -> tuple[dict[str, str], frozenset[str]]:
    data = lexicon.read("labels.toml")
    told = {name.lower(): said for name, said in data["told"].items()}
    return told, frozenset(name.lower() for name in data["untold"]["labels"])


def told_params(params: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the parameters worth telling as (label, value); an empty label means that the value is enough.

    Left out: blank values, what a feed says to its marketplace, a value that was told already.
    """
    told, untold = _labels()
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for raw, raw_value in params.items():
        label, value = _NUMBERED.sub("", raw.strip()), " ".join(raw_value.split())
        if label.lower() in untold or not value or (value.lower() in seen and not value.isdigit()):
            continue
        seen.add(value.lower())
        found.append((told.get(label.lower(), label), value))
    return found
