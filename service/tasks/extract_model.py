"""/extract-model: the product's model as the seller wrote it, where it stands, and a key to group by."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from service import guards
from service.errors import EngineAborted
from service.labels import told_params
from service.product_models import NORMALIZER_VERSION
from service.shapes.extract_model import (
    Evidence,
    ExtractModelItem,
    ExtractModelRequest,
    ExtractModelResponse,
)
from service.tasks.base import Answer, Model, Prompt, Task
from service.tasks.candidates import READ_CHARS, Candidates, Place, candidates
from service.tasks.listing import NEVER_COPIED
from service.tasks.names import is_brand
from service.tasks.naming import Naming, name_product
from service.tasks.orders import heard, masked

MODELS_ASKED = 2  # more than one is a sign of several products
EVIDENCE_MAX = 3
_FIRST = re.compile(r'"models":(\[(?:\]|"(?:[^"\\]|\\.)*"?))')
_CUT = re.compile(r',?(?:"(?:[^"\\]|\\.)*)?$')  # the unfinished last string of a list


def prompts(request: ExtractModelRequest) -> tuple[Prompt, ...]:
    """Return the one question, or none for a listing in which nothing looks like a name."""
    request = _read(request)
    found = _candidates(request)
    return (_prompt(request, found),) if found.models else ()


def _read(request: ExtractModelRequest) -> ExtractModelRequest:
    """Return what is read of a listing; offsets stay."""
    description = masked((request.description or "")[:READ_CHARS])
    return heard(request).model_copy(update={"description": description})


def _candidates(request: ExtractModelRequest) -> Candidates:
    return candidates(
        title=request.title,
        params=request.params,
        description=request.description or "",
        category=request.category,
    )


def _prompt(request: ExtractModelRequest, found: Candidates) -> Prompt:
    return Prompt(
        section="extract_model",
        fields={
            "title": request.title,
            "category": request.category or "",
            "params": told_params(request.params),
            "description": request.description or "",
        },
        schema=schema(found),
        logprobs=True,
        remembered=True,
    )


def schema(found: Candidates) -> dict[str, Any]:
    """Return the JSON schema of the answer: a brand or null, and models, all out of the listing."""
    return {
        "type": "object",
        "properties": {
            "brand": {"enum": [None, *found.brands]},
            "models": {"type": "array", "maxItems": MODELS_ASKED, "items": {"enum": list(found.models)}},
        },
        "required": ["brand", "models"],
        "additionalProperties": False,
    }


async def answer(request: ExtractModelRequest, model: Model) -> AsyncGenerator[str | Mapping[str, Any], None]:
    """Yield the response's own fields."""
    request = _read(request)
    found = _candidates(request)
    if not found.models:
        known = next((name for name in found.brands if is_brand(name)), None)
        yield _told(request, Naming(brand=known, reason="not_stated"), score=1.0, model=model)
        return
    drawn = await model.ask(_prompt(request, found))
    chosen = chosen_of(drawn)
    for _ in [name for name in chosen.models if name not in found.models]:
        model.held_back("not_in_text")
    naming = name_product(
        found,
        brand=chosen.brand,
        models=chosen.models,
        category=request.category,
        text_at=lambda place: _text(request, place)[place.start : place.end],
    )
    if not all(map(_fit, (naming.model, naming.brand))):
        model.held_back("unfit")
        naming = Naming(reason="not_stated")
    yield _told(request, naming, score=probability_of(drawn), model=model)


def _fit(text: str | None) -> bool:
    """Tell a name from a contact, an obscenity, markup; a part number may look like a telephone's."""
    reason = guards.find(text or "") or ""
    return reason == "contact_phone" or not reason.startswith(NEVER_COPIED)


class Chosen(BaseModel):
    """What the language model answers."""

    brand: str | None
    models: list[str]


def chosen_of(drawn: Answer) -> Chosen:
    """Parse an answer; of one that the token limit cut, what is complete.

    Raises:
        EngineAborted: it is no JSON of the schema, although it was bound to it.

    """
    text = drawn.text if drawn.finish == "stop" else _CUT.sub("]}", drawn.text, count=1)
    try:
        return Chosen.model_validate_json(text)
    except ValidationError:
        raise EngineAborted("The engine's answer does not follow the schema it was given") from None


def probability_of(drawn: Answer) -> float:
    """Return the geometric mean of the probabilities of the first model's tokens, "none at all" included.

    The mean, since the plain product calls every long name uncertain: on the fit half of the feeds it
    ranks right before wrong answers worse (area under the ROC curve 0.70 against 0.74).
    """
    text = "".join(token.text for token in drawn.tokens)
    if not (match := _FIRST.search(text)):
        return 0.0
    logprobs: list[float] = []
    at = 0
    for token in drawn.tokens:
        if at < match.end() and at + len(token.text) > match.start(1):
            logprobs.append(token.logprob)
        at += len(token.text)
    return math.exp(min(0.0, sum(logprobs) / len(logprobs)))


def _told(request: ExtractModelRequest, naming: Naming, *, score: float, model: Model) -> dict[str, Any]:
    calibration = model.card.calibration.get("extract_model")
    if calibration:
        score = (calibration.found if naming.model else calibration.none)(score)
    return {
        "model": naming.model,
        "brand": naming.brand,
        "model_key": naming.key,
        "confidence": round(score, 4),
        "evidence": [
            Evidence(
                field=place.field,
                start=place.start,
                end=place.end,
                text=_text(request, place)[place.start : place.end],
                param=place.param,
            )
            for place in naming.places[:EVIDENCE_MAX]
        ],
        "reason": naming.reason,
        "normalizer_version": NORMALIZER_VERSION,
    }


def _text(request: ExtractModelRequest, place: Place) -> str:
    """Return the whole text in which a place stands."""
    if place.field == "title":
        return request.title
    return request.params[place.param or ""] if place.field == "params" else request.description or ""


EXTRACT_MODEL: Task[ExtractModelRequest, ExtractModelResponse] = Task(
    name="extract_model",
    path="/extract-model",
    summary="Find the product's model in a listing",
    request=ExtractModelRequest,
    response=ExtractModelResponse,
    prompts=prompts,
    answer=answer,
    example=ExtractModelRequest(
        title="Велосипед Stels Navigator 500 MD",
        description="Продаю велосипед в хорошем состоянии, колёса 26 дюймов.",
        category="Велосипеды",
        params={"Вид велосипеда": "Горные"},
    ),
    item=ExtractModelItem,
)
