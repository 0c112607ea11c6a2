"""Holds what the language model chose against the listing: one model, or the reason for none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from service.product_models import canonical_brand, implied_brand, model_key
from service.shapes.extract_model import Reason
from service.tasks.candidates import Candidates, Place
from service.tasks.names import BRAND_WORDS_MAX, is_brand, is_variant

TextAt = Callable[[Place], str]

ABBREVIATION_CHARS = 3  # BMW, LG, JBL
_BOTH = re.compile(r"\b(?:и|плюс|and|а также)\b|[,;+&\n|]")
_BLANK = re.compile(r"\s+")
_EITHER = re.compile(r"\b(?:или|либо|не помню|не знаю|вроде|or)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """The model of a listing with its places, the best one first; or none, with the reason."""

    model: str | None = None
    brand: str | None = None
    key: str | None = None
    places: tuple[Place, ...] = ()
    reason: Reason | None = None


def name_product(
    found: Candidates, *, brand: str | None, models: Sequence[str], category: str | None, text_at: TextAt
) -> Naming:
    """Return what the choice of `brand` and `models` says; `text_at` reads the listing itself."""
    brand_places = found.brands.get(brand or "", [])
    brand_text = text_at(brand_places[0]) if brand_places else None
    places = [found.models[name] for name in models if name in found.models]
    if not places:
        return Naming(brand=brand_text, reason="not_stated")
    place = places[0][0]
    near = next((at for at in brand_places if _same_field(at, place)), None)
    if near and _is_all_brand(near, place, text_at=text_at):
        return Naming(brand=text_at(near), reason="not_stated")
    if near:
        brand_text, place = _apart(near, place, text_at=text_at)
    place = _without_brand(place, text_at=text_at)
    model = text_at(place)
    if brand_text is None or not is_brand(brand_text):  # a known series knows its maker better
        brand_text = _implied(places[0][0], found, text_at=text_at) or brand_text
    key = model_key(model, brand=brand_text, category=category)
    if key is None or is_variant(model.lower()) or (brand_text and key == canonical_brand(brand_text)):
        return Naming(brand=brand_text, reason="not_stated")
    if model.count("/") > 1:  # «iPhone 4S/5S/6/6+»
        return Naming(brand=brand_text, reason="several_products")
    others = [at for name in models[1:] for at in found.models.get(name, []) if _same_field(at, place)]
    for other in others:
        reason = _doubt(place, other, text_at=text_at)
        if reason and model_key(text_at(other), brand=brand_text, category=category) != key:
            return Naming(brand=None if reason == "several_products" else brand_text, reason=reason)
    repeated = [at for at in places[0] if at != place and text_at(at) == model]
    return Naming(model=model, brand=brand_text, key=key, places=(place, *repeated))


def _same_field(left: Place, right: Place) -> bool:
    return (left.field, left.param) == (right.field, right.param)


def _apart(brand: Place, model: Place, *, text_at: TextAt) -> tuple[str | None, Place]:
    """Tell a brand and a model that overlap apart: of «Elna 3210» chosen for both each keeps its own part."""
    if brand.start >= model.end or model.start >= brand.end:
        return text_at(brand), model
    if brand.start < model.start:
        return text_at(replace(brand, end=model.start)).strip(" -/") or None, model
    rest = text_at(replace(model, start=min(brand.end, model.end)))
    if not rest.strip(" -/"):
        return None, model
    return text_at(brand), replace(model, start=model.end - len(rest.lstrip(" -/")))


def _is_all_brand(brand: Place, model: Place, *, text_at: TextAt) -> bool:
    """Tell a brand that was chosen once more as its own model: «New Look» and «Look»; quotes make a name."""
    text = text_at(model)
    quoted = text_at(replace(model, start=max(0, model.start - 1), end=model.start)) in {*'«"“„'}
    within = brand.start <= model.start and model.end <= brand.end
    return within and not quoted and not any(map(str.isdigit, text))


def _implied(place: Place, found: Candidates, *, text_at: TextAt) -> str | None:
    """Return the brand that a model's own words imply, or the known one right before it, as it is written."""
    brand = implied_brand(text_at(place))
    for at in (at for places in found.brands.values() for at in places):
        text = text_at(at)
        if brand and canonical_brand(text) == brand and is_brand(text):
            return text
        ahead = _same_field(at, place) and at.end < place.start
        if not brand and ahead and is_brand(text) and text_at(replace(at, end=place.start)).strip() == text:
            return text
    return brand and (brand.upper() if len(brand) <= ABBREVIATION_CHARS else brand.title())


def _without_brand(place: Place, *, text_at: TextAt) -> Place:
    """Leave a known brand out that stands before its model: «Apple iPhone 13», «Silver Reed SK 840»."""
    text = text_at(place)
    for blank in reversed([*_BLANK.finditer(text)][:BRAND_WORDS_MAX]):
        if is_brand(text[: blank.start()]):
            return replace(place, start=place.start + blank.end())
    return place


def _doubt(place: Place, other: Place, *, text_at: TextAt) -> Reason | None:
    """Tell two products in one listing, or two names that the seller himself is not sure of."""
    first, second = sorted((place, other), key=lambda at: at.start)
    if second.start < first.end or not any(map(str.isdigit, text_at(other))):
        return None
    between = text_at(replace(first, start=first.end, end=second.start)).lower()
    if _EITHER.search(between):
        return "ambiguous"
    return "several_products" if _BOTH.search(between) else None
