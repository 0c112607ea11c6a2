"""What all requests and answers share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


NotBlank = AfterValidator(_not_blank)


VersionName = Annotated[str, StringConstraints(min_length=1, max_length=100)]


UnitId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class TaskRequest(BaseModel):
    """Fields that every request shares; unknown fields are refused."""

    # strict: "1000" is no number and "yes" no boolean; a caller learns of it here, not from odd answers
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model_version: VersionName | None = Field(default=None, description="Serve exactly this version.")


class Usage(BaseModel):
    """Tokens as the engine counted them, over all attempts of the request."""

    prompt_tokens: int
    completion_tokens: int


class Experiment(BaseModel):
    """The experiment that chose the version."""

    id: str
    arm: str


class TaskResponse(BaseModel):
    """Fields that every answer shares."""

    id: str = Field(description="Of this generation; the key for feedback.")
    model_version: str
    experiment: Experiment | None = None
    usage: Usage
    timings_ms: dict[str, float] = Field(description="queue, photos, first_sentence, engine, total")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, Any]] | None = None
