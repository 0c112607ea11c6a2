"""What makes two questions to a model the same, and how an answer is kept until the second one comes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from models.card import Card
from models.prompts import Message, template_sha256
from service.engine.base import Sampling
from service.tasks.base import Answer, Token


def identity(card: Card, section: str) -> str:
    """Return the hash of all that decides a card's answers but the fields: weights, prompt, sampling."""
    settings = card.tasks[section]
    return _sha256(
        card.weights_sha256,
        card.tokenizer_sha256,
        card.chat_template,
        settings.model_dump(),
        template_sha256(*settings.template),
    )


def key_of(identity: str, messages: Sequence[Message], sampling: Sampling) -> str:
    """Return the key of one question."""
    bound = (sampling.json_schema, sampling.choice, sampling.logprobs, sampling.temperature)
    return _sha256(identity, messages, bound, sampling.max_tokens)


def is_worth_keeping(answer: Answer, sampling: Sampling) -> bool:
    """Tell whether an answer is whole, and JSON where it had to be: a broken one is asked for again."""
    if answer.finish != "stop":
        return False
    try:
        return sampling.json_schema is None or orjson.loads(answer.text) is not None
    except orjson.JSONDecodeError:
        return False


def pack(answer: Answer) -> bytes:
    """Return an answer as the store keeps it."""
    tokens = [[token.text, token.logprob] for token in answer.tokens]
    return orjson.dumps([answer.text, answer.finish, tokens])


def unpack(data: bytes) -> Answer:
    """Return a kept answer."""
    text, finish, tokens = orjson.loads(data)
    drawn = tuple(Token(text=token, logprob=logprob) for token, logprob in tokens)
    return Answer(text=text, finish=finish, tokens=drawn)


def _sha256(*parts: Any) -> str:
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
