"""/suggest-replies: a chat and its listing become short replies that invent nothing, or honestly none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from models.intents import intents
from service import lexicon
from service.errors import DeadlineExceeded, EngineError
from service.labels import told_params
from service.letters import fold
from service.shapes.suggest_replies import (
    Role,
    Suggestion,
    SuggestRepliesRequest,
    SuggestRepliesResponse,
)
from service.tasks.base import Model, Prompt, Task
from service.tasks.describe import roubles
from service.tasks.listing import OTHER_DEAL, SALE
from service.tasks.replies import Checker, alike, tidy_reply, without_greeting
from service.tasks.stated import Stated
from service.tasks.stated import answer as listing_answer
from service.tasks.thread import WINDOW, Thread, Turn, patterns, read

SECTION = "suggest_reply"
SPARE = 2  # intents asked of the model beyond those wanted: some of its replies never pass
REPLY_TOKENS = 32  # 160 characters of the worst tokenizer are 80, but a good reply has 10 words
RESERVE_S = 0.1  # of the deadline, for what is done after the model's answers
PARAMS_MAX, LABEL_CHARS, VALUE_CHARS = 12, 40, 80  # of the prompt, as the next two
DESCRIPTION_CHARS = 300
MESSAGE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A request read once: what was asked, what our side has stated, which intents fit, the checks."""

    request: SuggestRepliesRequest
    thread: Thread
    stated: Stated
    intents: tuple[str, ...]
    checker: Checker

    @classmethod
    def of(cls, request: SuggestRepliesRequest) -> _Case:
        """Read a request."""
        role, listing, messages = request.role, request.listing, request.messages
        turns = [Turn(own=message.sender == role, text=message.text) for message in messages]
        thread = read(turns, role=role)
        stated = Stated.of(
            title=listing.title,
            params=listing.params,
            price=roubles(listing.price),
            description=listing.description or "",
            own=[turn.text for turn in turns[-WINDOW:] if turn.own],
        )
        checker = Checker(role=role, thread=thread, stated=stated, turns=turns[-WINDOW:])
        intents = plan(role, thread, title=listing.title) if thread.abstained is None else ()
        return cls(request=request, thread=thread, stated=stated, intents=intents, checker=checker)

    def told(self) -> str | None:
        """Return the answer that the listing itself gives, if it passes the checks as well."""
        if self.request.role == "buyer":
            return None
        text = listing_answer(self.stated, self.thread)
        # «Ширина — 180 см» answers «какие габариты?» though they share no word
        safe = text and self.fault(text, intent="answer", found={}) in (None, "off_topic")
        return text if safe else None

    def asked(self, found: Mapping[str, Suggestion]) -> tuple[str, ...]:
        """Return the intents to ask the model for: more than wanted; facts are told by the listing."""
        left = [intent for intent in self.intents if intent not in found and intent != "answer"]
        return tuple(left[: self.request.count - len(found) + SPARE])

    def prompt(self, intent: str) -> Prompt:
        """Return the question for one intent; all of a request differ in their last line only."""
        return Prompt(section=SECTION, fields=fields(self.request, intent=intent), max_tokens=REPLY_TOKENS)

    def fault(self, reply: str, *, intent: str, found: Mapping[str, Suggestion]) -> str | None:
        """Return the code of the reply's first fault, beside those found already."""
        if reason := self.checker.fault(reply, intent=intent):
            return reason
        return "alike" if any(alike(reply, other.text) for other in found.values()) else None

    def prepare(self, intent: str, found: dict[str, Suggestion]) -> None:
        """Add the first prepared wording of the intent that passes the same checks."""
        wording = lexicon.read("replies.toml")["prepared"][self.request.role]
        for text in map(self.tidy, wording.get(intent, ())):
            if self.fault(text, intent=intent, found=found) is None:
                found[intent] = Suggestion(text=text, intent=intent, source="prepared")
                return

    def tidy(self, text: str, *, cut: bool = False) -> str:
        """Return a reply fit to be checked."""
        reply = tidy_reply(text, cut=cut)
        return without_greeting(reply) if self.thread.own_spoke else reply


def plan(role: Role, thread: Thread, *, title: str) -> tuple[str, ...]:
    """Return the intents that fit the chat, the best first; they are those of `replies.toml`, plans."""
    plans = lexicon.read("replies.toml")["plans"][role]
    if role == "seller":
        offers = "bargain" in thread.topics and bool(re.search(r"\d", thread.last))
        topics = ["offer" if offers and topic == "bargain" else topic for topic in thread.topics]
        asked = _in_turns([plans[topic] for topic in topics])
        return tuple(dict.fromkeys([*asked, *plans["always"]]))
    lower = fold(title).lower()
    no_sale = (
        OTHER_DEAL.search(lower) or patterns("other_deal")["titles"].search(lower)
    ) and not SALE.search(lower)
    questions = plans["other_deal" if no_sale else "opening"]
    if not thread.topics:
        return tuple(questions)
    small_talk = [plans[topic] for topic in thread.topics if topic in plans]
    topics = lexicon.read("replies.toml")["topic_of_intent"]
    questions = [intent for intent in questions if topics.get(intent) not in thread.covered]
    row = _in_turns([plans["question"]] if thread.asks else small_talk or [plans["statement"]])
    return tuple(dict.fromkeys([*row, *questions]))


def prompts(request: SuggestRepliesRequest) -> tuple[Prompt, ...]:
    """Return a question for each intent; none when nothing is suggested."""
    case = _Case.of(request)
    return tuple(case.prompt(intent) for intent in case.asked({}))


def fields(request: SuggestRepliesRequest, *, intent: str) -> dict[str, Any]:
    """Return what the prompt template needs."""
    listing = request.listing
    names = {"seller": "Продавец", "buyer": "Покупатель"}
    return {
        "role": request.role,
        "title": listing.title,
        "price": roubles(listing.price),
        "params": [
            [label[:LABEL_CHARS], value[:VALUE_CHARS]]
            for label, value in told_params(listing.params)[:PARAMS_MAX]
        ],
        "description": (listing.description or "")[:DESCRIPTION_CHARS],
        "messages": [
            {"name": names[message.sender], "text": message.text[:MESSAGE_CHARS]}
            for message in request.messages[-WINDOW:]
        ],
        "intent": intents(request.role)[intent],
    }


async def answer(
    request: SuggestRepliesRequest, model: Model
) -> AsyncGenerator[str | Mapping[str, Any], None]:
    """Yield the response's own fields."""
    case = _Case.of(request)
    found: dict[str, Suggestion] = {}
    if case.thread.abstained is None:
        if told := case.told():
            found["answer"] = Suggestion(text=told, intent="answer", source="prepared")
        if len(found) < request.count:
            await _ask(case, model, found)
            _fill(case, found)
    order = ("answer", *case.intents)
    suggestions = [found[intent].model_dump() for intent in dict.fromkeys(order) if intent in found]
    yield {
        "suggestions": suggestions,
        "abstained": case.thread.abstained or (None if suggestions else "nothing_safe"),
    }


async def _ask(case: _Case, model: Model, found: dict[str, Suggestion]) -> None:
    """Add the model's replies that pass, until there are enough or the time is nearly over.

    Raises the engine's error, or DeadlineExceeded, if not one answer came: that the engine is down is no
    secret to be kept behind prepared wording.
    """
    intents = case.asked(found)
    leading = intents[:1] if not found else ()  # the reply that fits best is not left out for lesser ones
    failure: EngineError | None = None
    answered = False
    try:
        async with (
            asyncio.timeout(max(0.0, model.left_s() - RESERVE_S)),
            aclosing(model.spread([case.prompt(intent) for intent in intents])) as outcomes,
        ):
            async for index, outcome in outcomes:
                if isinstance(outcome, EngineError):
                    failure = outcome
                    continue
                answered = True
                text = case.tidy(outcome.text, cut=outcome.finish == "length")
                intent = intents[index]
                if reason := case.fault(text, intent=intent, found=found):
                    model.held_back(reason)
                    if intent in leading:
                        case.prepare(intent, found)
                else:
                    found[intent] = Suggestion(text=text, intent=intent, source="model")
                if len(found) >= case.request.count:
                    break
    except TimeoutError:
        if not answered:
            raise DeadlineExceeded from None
    if failure is not None and not answered:
        raise failure


def _fill(case: _Case, found: dict[str, Suggestion]) -> None:
    """Add prepared wording, which passes the same checks, until there are enough."""
    for intent in case.intents:
        if len(found) >= case.request.count:
            return
        if intent not in found:
            case.prepare(intent, found)


def _in_turns(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the first of each row, then the second of each, without doubles."""
    mixed = (intent for column in zip_longest(*rows) for intent in column if intent is not None)
    return tuple(dict.fromkeys(mixed))


SUGGEST_REPLIES: Task[SuggestRepliesRequest, SuggestRepliesResponse] = Task(
    name="suggest_replies",
    path="/suggest-replies",
    summary="Suggest short replies in a chat about a listing",
    request=SuggestRepliesRequest,
    response=SuggestRepliesResponse,
    prompts=prompts,
    answer=answer,
    example=SuggestRepliesRequest.model_validate(
        {
            "role": "seller",
            "listing": {
                "title": "Велосипед Stels Navigator 500",
                "price": 8500,
                "params": {"Диаметр колёс": '26"', "Состояние": "Б/у", "Цвет": "Синий"},
            },
            "messages": [{"from": "buyer", "text": "Здравствуйте! Торг уместен?"}],
        }
    ),
)
