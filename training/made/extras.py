"""What comes with a thing and what is wrong with it: the facts that are lists."""

from __future__ import annotations

from typing import Final

from training.made.grammar import ADJECTIVE, inflect, lemmas
from training.made.listing import Fact, Listing

_KIT: Final = (
    "в комплекте — {0}",
    "в комплекте: {0}",
    "комплектация: {0}",
    "комплект: {0}",
    "в комплекте есть {0}",
)
_KIT_TYPED: Final = frozenset(lemmas("комплект комплектация"))
_FLAW_TYPED: Final = frozenset(lemmas("дефект недостаток изъян"))
_FLAWS: Final = (
    "есть {0}",
    "дефекты — {0}",
    "дефекты: {0}",
    "есть дефекты: {0}",
    "недостатки: {0}",
    "из недостатков — {0}",
)
_FLAW: Final = ("есть {0}", "дефект — {0}", "из недостатков — {0}", "есть дефект: {0}")


def tell_flaws(fact: Fact, listing: Listing) -> list[str]:
    """Return clauses that tell what is wrong.

    «Есть потёртая стелька» sounds like a gift, so it takes a label if the card has one.
    """
    told = listed(fact.several)
    if not listing.known & _FLAW_TYPED:
        return [f"есть {told}", told] if ADJECTIVE.match(fact.value) else [f"есть {told}"]
    forms = _FLAW if len(fact.several) == 1 else _FLAWS
    return [form.format(told) for form in forms[1 if ADJECTIVE.match(fact.value) else 0 :]]


def tell_kit(fact: Fact, listing: Listing, thing: str | None) -> list[str]:
    """Return clauses that tell what comes with the thing; `thing`: its noun in the instrumental case."""
    parts = listed(fact.several)
    if listing.known & _KIT_TYPED:
        return [form.format(parts) for form in _KIT[: 4 if len(fact.several) > 1 else None]]
    taken = [inflect(part, "accs") for part in fact.several]
    forms = [f"в придачу — {parts}", f"дополнительно: {parts}"]
    if thing and None not in taken:
        forms.append(f"вместе с {thing} предлагаю {listed([str(one) for one in taken])}")
    return forms


def listed(parts: tuple[str, ...] | list[str]) -> str:
    """Return «насос, фонарь и замок»."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} и {parts[-1]}"
