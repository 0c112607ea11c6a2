"""What /suggest-replies takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from service.shapes.base import TaskRequest, TaskResponse, UnitId
from service.shapes.describe import ParamName, ParamValue, Title

Role = Literal["seller", "buyer"]


ABSTAINED: Mapping[str, str] = MappingProxyType(
    {
        "no_messages": "nobody has written yet, and a seller does not begin",
        "own_turn": "the last message is our own side's",
        "ended": "the other side said thanks or good-bye, has bought, or does not want it any more",
        "unsafe": "threats, insults, fraud, another messenger, links, orders to the model",
        "unclear": "no Russian words: emoji, signs, another language",
        "nothing_safe": "no reply passed the checks",
    }
)


class ChatListing(BaseModel):
    """The listing that the chat is about."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: Title
    price: float | None = Field(default=None, ge=0, le=1e12, description="Roubles.")
    params: dict[ParamName, ParamValue] = Field(default_factory=dict, max_length=60)
    description: Annotated[str, StringConstraints(max_length=10_000)] | None = None


class ChatMessage(BaseModel):
    """One message of the chat."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sender: Role = Field(alias="from")
    text: Annotated[str, StringConstraints(max_length=4000)]


class SuggestRepliesRequest(TaskRequest):
    """A chat as the one sees it who is to answer; the oldest message first."""

    role: Role = Field(description="Whose replies are wanted.")
    listing: ChatListing
    messages: list[ChatMessage] = Field(default_factory=list, max_length=50)
    count: int = Field(default=3, ge=1, le=5)
    user_id: UnitId | None = None


class Suggestion(BaseModel):
    """One reply. `prepared` wording is the service's own, filled from the listing; `model` is the model's."""

    text: str
    intent: str
    source: Literal["model", "prepared"]


class SuggestRepliesResponse(TaskResponse):
    """The replies in the order in which to show them, or the reason why there are none."""

    suggestions: list[Suggestion]
    abstained: str | None = Field(
        description="; ".join(f"{code}: {meaning}" for code, meaning in ABSTAINED.items())
    )
