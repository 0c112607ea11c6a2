"""Which pieces of a listing may name its brand or its model: what the language model then chooses among.

The choice is bound to these (as an enum of the JSON schema), so that no answer can name what the seller did
not write, and a listing that names nothing costs no question at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from models.prompts import clean
from service.tasks.names import Chain, Kind, brands, models, names

NAME_CHARS_MAX = 80
MODELS_MAX, BRANDS_MAX = 150, 60  # of a listing; ten times what a usual title gives
READ_CHARS = 600  # of the description: what a product is stands at its beginning
VALUE_CHARS_MIN = 4  # of a parameter without a telling label: «XS» and «IT» are no models

_BRAND_LABEL = re.compile(
    r"^(?!.*стран).*(?:бренд|марк[аи]|производител|изготовител|\bфирм[аы]\b|brand|vendor|вендор)",
    re.IGNORECASE,
)  # the land of the maker is no brand
_MODEL_LABEL = re.compile(r"модел|model|артикул", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece stands: the request's field (and parameter), offsets in code points."""

    field: Literal["title", "description", "params"]
    start: int
    end: int
    param: str | None = None


@dataclass(slots=True)
class Candidates:
    """What may be chosen: the piece as the prompt shows it -> its places, the best one first."""

    models: dict[str, list[Place]] = field(default_factory=dict)
    brands: dict[str, list[Place]] = field(default_factory=dict)


def candidates(
    *, title: str, params: Mapping[str, str], description: str, category: str | None = None
) -> Candidates:
    """Return the candidates of a listing, those of the title first.

    What only the description names is offered only where nothing else names anything: there a seller also
    tells what else he sells and what it fits.
    """
    found = Candidates()
    kind = Kind.of(f"{title} {category or ''}")
    _add_text(found, title, names(title, kind), Place("title", 0, 0))
    for name, value in params.items():
        _add_param(found, name, value, kind)
    read = description[:READ_CHARS]
    known = len(found.models) if found.models else MODELS_MAX
    _add_text(found, read, names(read, kind, strict=True), Place("description", 0, 0), most=known)
    return found


def _add_text(
    found: Candidates, text: str, chains: Sequence[Chain], place: Place, *, most: int = MODELS_MAX
) -> None:
    _add(found.models, text, models(text, chains), place, most=most)
    _add(found.brands, text, brands(text, chains), place, most=BRANDS_MAX)


def _add_param(found: Candidates, name: str, value: str, kind: Kind) -> None:
    place = Place("params", 0, 0, name)
    whole = [(0, len(value))]
    if _MODEL_LABEL.search(name):
        _add(found.models, value, whole, place, most=MODELS_MAX)
    elif _BRAND_LABEL.search(name):
        _add(found.brands, value, whole, place, most=BRANDS_MAX)
    elif len(value) >= VALUE_CHARS_MIN:
        _add_text(found, value, names(value, kind, strict=True), place)


def _add(
    table: dict[str, list[Place]],
    text: str,
    spans: Iterable[tuple[int, int]],
    place: Place,
    *,
    most: int,
) -> None:
    """Add places of the text to the table, of new names only as long as it holds fewer than `most`."""
    for start, end in spans:
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip())
        end = start + len(piece.strip())
        shown = " ".join(clean(piece).split())
        if shown and len(shown) <= NAME_CHARS_MAX and (shown in table or len(table) < most):
            at = Place(place.field, start, end, place.param)
            if at not in table.setdefault(shown, []):
                table[shown].append(at)
