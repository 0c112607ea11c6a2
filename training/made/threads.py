"""Chats about made-up listings, written message by message by a buyer and a seller."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from models.intents import intents
from training.made.cases import about
from training.made.variation import typed, vary

WINDOW: Final = 8  # messages that the service shows to the model, the last ones
NAMES: Final = {"seller": "Продавец", "buyer": "Покупатель"}
_SLIPS: Final = 0.14  # share of messages with a typing slip
_BARE: Final = 0.45  # of messages without marks at the end
_OTHER_DEAL: Final = (
    *(
        "availability",
        "price",
        "meeting",
        "payment",
        "params",
        "question",
        "permission",
        "greeting",
        "details",
    ),
)
_OTHER_SHARE: Final = 2.5  # a service or a vacancy, to one thing for sale
_OF_GOODS: Final = re.compile(
    r"\{thing|прода|забр|забир|отда|получ|размер|бер[её]|достав|отправ|куда|показ|\[|посмотр|видео|налич(?!н)"
)
_ASKED: Final = (
    *("availability", "bargain", "place", "meeting", "delivery", "condition", "documents"),
    *("photo", "exchange", "payment", "reason", "params", "price"),
)


@dataclass(kw_only=True)
class Chat:
    """A listing, what was written about it, and the topics that were spoken of; `thing` is its noun."""

    role: str
    thing: str
    goods: Mapping[str, Any]
    title: str
    price: str
    amount: int
    params: list[tuple[str, str]]
    description: str
    messages: list[tuple[str, str]] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)

    @property
    def sale(self) -> bool:
        """Whether a thing is for sale."""
        return "deal" not in self.goods

    @property
    def own_spoke(self) -> bool:
        """Whether the side that replies has written before."""
        return any(sender == self.role for sender, _ in self.messages)

    def fields(self, intent: str) -> dict[str, Any]:
        """Return what the prompt suggest_reply needs."""
        last = self.messages[-WINDOW:]
        return {
            "role": self.role,
            "title": self.title,
            "price": self.price,
            "params": [list(pair) for pair in self.params],
            "description": self.description,
            "messages": [{"name": NAMES[sender], "text": text} for sender, text in last],
            "intent": intents(self.role)[intent],
        }


@cache
def bank() -> Mapping[str, Any]:
    """Return what chats.toml holds."""
    return tomllib.loads(Path(__file__).with_name("chats.toml").read_text(encoding="utf-8"))


def open_chat(rng: random.Random) -> Chat:
    """Return a chat without messages about a listing."""
    every = bank()["goods"]
    weights = [_OTHER_SHARE if "deal" in goods else 1 for goods in every.values()]
    thing = rng.choices([*every], weights)[0]
    goods = every[thing]
    low, high = goods["price"]
    amount = _round(int(low * (high / low) ** rng.random()))
    labels = [label for label in goods["params"] if rng.random() < 0.5]
    title = rng.choice(goods["titles"])
    told = bank()["descriptions"]["other" if "deal" in goods else "sale"]
    return Chat(
        role=rng.choice([*NAMES]),
        thing=thing,
        goods=goods,
        title=title.lower() if rng.random() < 0.1 else title,
        price=f"{amount:,} ₽".replace(",", " ") if rng.random() < (0.5 if "deal" in goods else 0.75) else "",
        amount=amount,
        params=[_param(label, rng) for label in labels],
        description=vary(rng.choice(told), rng) if rng.random() < 0.5 and "skip" not in goods else "",
    )


def _param(label: str, rng: random.Random) -> tuple[str, str]:
    value = rng.choice(bank()["params"][label]["values"])
    chance = rng.random()
    if chance < 0.1:
        return "", value
    return (label[:1].lower() + label[1:] if chance < 0.4 else label), value


def _round(amount: int) -> int:
    step = 10 if amount < 1000 else 100 if amount < 20_000 else 1000
    return max(step, amount // step * step)


def exchange(chat: Chat, rng: random.Random) -> None:
    """Add a buyer's question and the seller's answer."""
    topic = drawn_topic(chat, rng)
    value = ask(chat, topic, rng)
    told = [one for one in bank()["seller"][topic] if chat.price or "{price}" not in one]
    say(chat, "seller", rng.choice(suited(told, chat)), rng, value=value)


def drawn_topic(chat: Chat, rng: random.Random) -> str:
    """Return a topic that a buyer may ask about and a seller can answer, a fresh one if there is any."""
    possible = [topic for topic in _ASKED if is_possible(topic, chat) and (topic != "price" or chat.price)]
    return rng.choice([topic for topic in possible if topic not in chat.covered] or possible)


def is_possible(topic: str, chat: Chat) -> bool:
    """Tell whether a topic may come up about these goods."""
    if topic in chat.goods.get("skip", ()):
        return False
    if topic == "price" and not chat.price:
        return chat.role == "seller" or not chat.sale  # «какая цена?» then waits for an answer
    if topic == "params" and not any(bank()["params"][label]["ask"] for label in chat.goods["params"]):
        return False
    return chat.sale or topic in _OTHER_DEAL


def ask(chat: Chat, topic: str, rng: random.Random) -> str:
    """Add the buyer's question, after a greeting now and then, and return the value that answers it."""
    value = ""
    if topic == "params":
        label = rng.choice([one for one in chat.goods["params"] if bank()["params"][one]["ask"]])
        wordings = bank()["params"][label]["ask"]
        told = [value for name, value in chat.params if name.lower() == label.lower()]
        value = told[0] if told else rng.choice(bank()["params"][label]["values"])
    else:
        wordings = suited(bank()["buyer"][topic], chat)
        if not chat.goods.get("works"):
            wordings = [one for one in wordings if "работает" not in one] or wordings
    greets = topic != "greeting" and not chat.messages and rng.random() < 0.6
    greeting = rng.choice(bank()["greetings"]["typed"]) if greets else ""
    if greeting and rng.random() < 0.15:
        chat.messages.append(("buyer", greeting))
        greeting = ""
    say(chat, "buyer", rng.choice(wordings), rng, before=greeting)
    chat.covered |= {topic, *bank()["covers"].get(topic, ())}
    return value


def suited(wordings: Sequence[str], chat: Chat) -> list[str]:
    """Return the wordings that suit: nobody asks whether a plumber is sold."""
    if chat.sale:
        return [*wordings]
    return [one for one in wordings if not _OF_GOODS.search(one)] or [*wordings]


def say(
    chat: Chat, sender: str, wording: str, rng: random.Random, *, before: str = "", value: str = ""
) -> None:
    """Add a message as its sender types it; `before` is a greeting, `value` what was asked for."""
    text = about(vary(wording, rng), chat.thing)
    offer = _round(int(chat.amount * rng.uniform(0.6, 0.95)))
    short = f"{offer // 1000} тыс" if offer % 1000 == 0 else str(offer)
    offered = rng.choice((str(offer), f"{offer} р", short))
    text = text.replace("{price}", chat.price).replace("{offer}", offered)
    text = text.replace("{n}", str(rng.randint(1, 120))).replace("{hour}", str(rng.randint(9, 20)))
    text = text.replace("{value}", value.lower() if value[1:].islower() else value)
    if before:
        mark = "" if before[-1] in "!." else rng.choice((",", ".", "", "!"))
        text = f"{before}{mark} {text if mark == ',' else rng.choice((text, text[:1].upper() + text[1:]))}"
    if rng.random() < _BARE:
        text = text.rstrip("?")
    elif text[-1].isalpha() and rng.random() < 0.2:
        text += rng.choice((".", "!", ")", "))"))
    chat.messages.append((sender, typed(text, rng, slips=_SLIPS)))
