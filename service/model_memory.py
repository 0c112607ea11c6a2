"""A capacity: the model itself of a memory card, only a variant of a phone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from service import model_words
from service.model_tokens import Token, trails

_RAM = frozenset(["1", "2", "3", "4", "6", "8", "12", "16", "18", "24"])
_STORAGE = frozenset(["64", "128", "256", "512", "1024"])
_SMALL_STORAGE = frozenset(["16", "32"])  # model numbers too: «iPhone 16»


@lru_cache(maxsize=2**10)
def is_a(category: str, section: str) -> bool:
    """Tell whether a category is of the kind that a section of the lists describes."""
    return any(stem in category for stem in model_words.data()[section]["categories"])


def less_variants(tokens: Sequence[Token], *, owner: str | None, category: str) -> list[Token]:
    """Leave out the memory of a device; keep the capacity of what is itself memory, or may be."""
    lists = model_words.data()
    variant, storage, phones = lists["variant"], lists["storage"], lists["phones"]
    texts = {token.text for token in tokens}
    device = is_a(category, "variant") or not texts.isdisjoint(variant["families"])
    marked = is_a(category, "storage") or not texts.isdisjoint(storage["words"])
    if device or (owner in variant["brands"] and not marked):
        phone = is_a(category, "phones") or not texts.isdisjoint(phones["families"])
        spare = _spare_numbers(tokens, bare=phone or owner in phones["brands"])
        kept = [token for index, token in enumerate(tokens) if index not in spare]
        return [token for token in kept if token.kind != "capacity" and token.text not in variant["words"]]
    told = texts.intersection(storage["words"]).difference(storage["untold"])
    if told or owner not in variant["brands"]:  # else «SSD» alone keeps the capacity
        return [token for token in tokens if token.text not in storage["untold"]]
    return list(tokens)


def _spare_numbers(tokens: Sequence[Token], *, bare: bool) -> set[int]:
    """Return the numbers that say memory without a unit: «8/256», «6 128 gb», «iPhone 14 Pro 128».

    One number at least stays: «iPhone 12/64» is the twelfth, «iPhone 16» has no 16 GB.
    """
    free = [
        index for index, token in enumerate(tokens) if token.kind == "digits" and not _in_code(tokens, index)
    ]
    spare: set[int] = set()
    for index in reversed(free):
        if _is_storage(tokens, index, bare=bare) and _staying(tokens, index, spare):
            spare.add(index)
    for index in free:
        others = _staying(tokens, index, spare)
        slashed = _beside_memory(tokens, index, spare, slashed=True)
        if (
            tokens[index].text in _RAM
            and others
            and (slashed or (others[0] < index and _beside_memory(tokens, index, spare, slashed=False)))
        ):
            spare.add(index)
    for index in reversed(free):
        if bare and tokens[index].text in _SMALL_STORAGE and _staying(tokens, index, spare, networks=False):
            spare.add(index)
    return spare


def _is_storage(tokens: Sequence[Token], index: int, *, bare: bool) -> bool:
    """Tell whether a free number can only be a capacity where it stands: «/256», «256 ssd», a phone's 256."""
    text = tokens[index].text
    if index + 1 < len(tokens) and tokens[index + 1].text in model_words.data()["variant"]["words"]:
        return text in _RAM | _STORAGE | _SMALL_STORAGE
    if index and _slashed(tokens[index]) and tokens[index - 1].text in _RAM:
        return text in _STORAGE | _SMALL_STORAGE
    return bare and text in _STORAGE


def _beside_memory(tokens: Sequence[Token], index: int, spare: set[int], *, slashed: bool) -> bool:
    """Tell whether a capacity stands next to a number: on either side of a slash, or right behind it."""
    after = index + 1
    found = after < len(tokens) and (tokens[after].kind == "capacity" or after in spare)
    if not slashed:
        return found
    return (found and _slashed(tokens[after])) or (index - 1 in spare and _slashed(tokens[index]))


def _slashed(token: Token) -> bool:
    return "/" in token.gap or "+" in token.gap


def _staying(tokens: Sequence[Token], index: int, spare: set[int], *, networks: bool = True) -> list[int]:
    """Return the other numbers that tell the model: no years, and no 5 of 5G where that says too little."""
    return [
        other
        for other, token in enumerate(tokens)
        if token.kind == "digits"
        and other != index
        and other not in spare
        and not (len(token.text) == 4 and token.text[:2] in {"19", "20"})
        and (networks or other + 1 == len(tokens) or tokens[other + 1].text != "g")
    ]


def _in_code(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether letters lead or trail a number."""
    before = tokens[index - 1] if index else None
    after, beyond = (tokens[at] if at < len(tokens) else None for at in (index + 1, index + 2))
    led = before is not None and before.kind == "letters"
    if led and before is not None:  # unless they trail a number of their own: «5s 64»
        led = not trails(before, before=tokens[index - 2] if index > 1 else None, after=tokens[index])
    trailed = (
        after is not None and after.kind == "letters" and trails(after, before=tokens[index], after=beyond)
    )
    return led or trailed
