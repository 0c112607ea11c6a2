"""What of a listing speaks to the model instead of the buyer: it is no fact, and no model gets to read it."""

from __future__ import annotations

import re
from typing import TypeVar

from service.letters import fold
from service.shapes.describe import DescribeRequest
from service.shapes.extract_model import ExtractModelRequest
from service.tasks.thread import orders

Listed = TypeVar("Listed", DescribeRequest, ExtractModelRequest)
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


def heard(request: Listed) -> Listed:
    """Return a listing with blanks in place of orders to the model: neither it nor the checks read them.

    A parameter whose name is an order goes.
    """
    params = {name: masked(value) for name, value in request.params.items() if masked(name) == name}
    texts = {"title": masked(request.title), "category": masked(request.category or "")}
    return request.model_copy(update={**texts, "params": params})
