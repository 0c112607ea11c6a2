"""Made-up chats about listings, each with a reply that does one thing and states nothing.

The fields are those of the prompt suggest_reply, what the reply is to do is told in the words of
models/intents.toml.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from training.made.cases import about
from training.made.threads import Chat, ask, bank, drawn_topic, exchange, is_possible, open_chat, say, suited
from training.made.variation import vary

EXCHANGES_MAX: Final = 4  # before the last message: a question and its answer each
_EVENLY: Final = 0.6  # of the seller's chats are made for an intent, so that rare ones are learned
_KINDS: Final = {"answer": 50, "opening": 16, "asking": 10, "contact": 8, "later": 10, "greeting": 6}


def make_replies(number: int, *, name: str, seed: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield so many pairs of suggest_reply's fields and a reply; the same ones for the same seed."""
    for chat, intent, reply in make_chats(number, name=name, seed=seed):
        yield chat.fields(intent), reply


def make_chats(number: int, *, name: str, seed: int) -> Iterator[tuple[Chat, str, str]]:
    """Yield chats, each with an intent and a reply."""
    rng = random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    for _ in range(number):
        chat = open_chat(rng)
        intent = _of_seller(chat, rng) if chat.role == "seller" else _of_buyer(chat, rng)
        yield chat, intent, _reply(chat, intent, rng)


def _of_seller(chat: Chat, rng: random.Random) -> str:
    """Write the chat up to the buyer's message, and return what the seller's reply does."""
    for _ in range(_num_exchanges(rng)):
        exchange(chat, rng)
    fits = bank()["fits"]["seller"]
    topics = [topic for topic in fits if topic not in chat.covered and is_possible(topic, chat)]
    if chat.messages:
        topics = [topic for topic in topics if topic not in ("greeting", "statement")]
    elif "thanks" in topics:
        topics = [topic for topic in topics if topic not in ("thanks", "later")]
    unfit = {"greet"} if chat.own_spoke else set()
    unfit |= set() if chat.sale else {"ask_receive"}
    if rng.random() < _EVENLY:
        intent = rng.choice(sorted({one for topic in topics for one in fits[topic]} - unfit))
        ask(chat, rng.choice([topic for topic in topics if intent in fits[topic]]), rng)
        return str(intent)
    topic = rng.choice(topics)
    ask(chat, topic, rng)
    fitting = [one for one in fits[topic] if one not in unfit]
    return str(rng.choices(fitting, range(len(fitting) + 1, 1, -1))[0])


def _of_buyer(chat: Chat, rng: random.Random) -> str:
    """Write the chat up to the seller's message, if any, and return what the buyer's reply does."""
    kind = rng.choices([*_KINDS], [*_KINDS.values()])[0]
    if kind == "greeting":
        ask(chat, "greeting", rng)
    elif kind != "opening":
        for _ in range(_num_exchanges(rng) + (kind == "answer")):
            exchange(chat, rng)
    if kind not in ("answer", "opening"):
        if not chat.messages or (kind == "later" and rng.random() < 0.7):
            ask(chat, drawn_topic(chat, rng), rng)
        say(chat, "seller", rng.choice(suited(bank()["seller"][kind], chat)), rng)
        chat.covered |= {kind, *bank()["covers"].get(kind, ())}
    intent = rng.choice(bank()["fits"]["buyer"][kind])
    return str(intent) if intent != "ask" else _open_question(chat, kind, rng)


def _open_question(chat: Chat, kind: str, rng: random.Random) -> str:
    """Return a question that nobody has answered yet; a chat opens with what matters first."""
    covered = chat.covered | ({"price"} if chat.price else set())
    asks = bank()["asks"]["sale" if chat.sale else "other"]
    found = [one for one, topic in asks.items() if topic not in covered and is_possible(topic, chat)]
    if not found:
        return "thank" if kind == "answer" else "defer"
    weights = range(len(found) + 1, 1, -1) if kind == "opening" else [1] * len(found)
    return str(rng.choices(found, weights)[0])


def _num_exchanges(rng: random.Random) -> int:
    return rng.choices(range(EXCHANGES_MAX + 1), [5, 4, 3, 2, 1])[0]


def _reply(chat: Chat, intent: str, rng: random.Random) -> str:
    """Return a reply of this intent, greeting where a first reply does."""
    wordings = bank()["replies"][chat.role]
    key = f"{intent}_other" if not chat.sale and f"{intent}_other" in wordings else intent
    text = about(vary(rng.choice(suited(wordings[key], chat)), rng), chat.thing)
    text = text[:1].upper() + text[1:]
    lone = sum(text.count(mark) for mark in ".!?") == 1
    heard = next((text.lower() for sender, text in chat.messages if sender != chat.role), "")
    begun = next(begin for begin in bank()["greetings"]["answer"] if heard.startswith(begin))
    polite = intent == "greet" or rng.random() < (0.4 if begun or not chat.messages else 0.2)
    if lone and not chat.own_spoke and polite:
        return f"{bank()['greetings']['answer'][begun]} {text}"
    return text
