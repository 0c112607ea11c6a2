"""Made-up chats: replies that the service's own checks let pass for what they were to do."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from models.intents import intents
from models.prompts import render
from service import lexicon
from service.tasks.replies import Checker
from service.tasks.stated import Stated
from service.tasks.thread import WINDOW, Turn, read
from training.made import threads
from training.made.cases import about
from training.made.chats import make_chats, make_replies
from training.made.threads import Chat
from training.made.variation import typed, vary

NOT_ASKED_OF_THE_MODEL = {"answer"}  # the listing itself tells it
SURE = 0.95


def fault(chat: Chat, intent: str, reply: str) -> str | None:
    """Return why the service would not show the reply."""
    turns = [Turn(own=sender == chat.role, text=text) for sender, text in chat.messages]
    thread = read(turns, role="seller" if chat.role == "seller" else "buyer")
    if thread.abstained:
        return thread.abstained
    stated = Stated.of(
        title=chat.title,
        params={label or "Параметр": value for label, value in chat.params},
        price=chat.price,
        description=chat.description,
        own=[turn.text for turn in turns[-WINDOW:] if turn.own],
    )
    role = "seller" if chat.role == "seller" else "buyer"
    return Checker(role=role, thread=thread, stated=stated, turns=turns[-WINDOW:]).fault(reply, intent=intent)


def test_the_service_would_show_the_replies() -> None:
    rows = [*make_chats(300, name="chats", seed=11)]
    faults = {(intent, reply): fault(chat, intent, reply) for chat, intent, reply in rows}
    found = {key: reason for key, reason in faults.items() if reason}
    assert len(found) <= (1 - SURE) * len(rows), found


def test_the_same_seed_gives_the_same_replies_and_another_gives_others() -> None:
    first, again, other = ([*make_replies(20, name="a", seed=seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_fields_are_those_of_the_prompt_and_told_in_the_intents_words() -> None:
    for fields, reply in make_replies(100, name="fields", seed=12):
        last = render("suggest_reply", "v2", fields)[-1]["content"].splitlines()
        name = {"seller": "Продавец", "buyer": "Покупатель"}[fields["role"]]
        assert last[-1] == f"{name} ({fields['intent']}):"
        assert last[1] == fields["title"]
        assert len(fields["messages"]) <= WINDOW
        assert not fields["messages"] or fields["messages"][-1]["name"] != name
        assert 2 <= len(reply) <= 160
        assert reply[0].isupper()
        assert reply[-1] in ".!?"
        assert not re.search(r"[<>{}\[\]|\d]| [.,!?]", reply)


def test_every_intent_comes_up_with_many_wordings() -> None:
    rng = random.Random(1)
    seen = Counter((chat.role, intent) for chat, intent, _ in make_chats(2500, name="all", seed=13))
    for role in ("seller", "buyer"):
        for intent in intents(role).keys() - NOT_ASKED_OF_THE_MODEL:
            assert seen[role, intent] >= 8, intent
            wordings = threads.bank()["replies"][role][intent]
            assert len({vary(rng.choice(wordings), rng) for _ in range(500)}) >= 20, intent


def test_intents_are_those_that_the_service_plans() -> None:
    told = lexicon.read("replies.toml")["plans"]
    planned = {role: {one for row in told[role].values() for one in row} for role in ("seller", "buyer")}
    assert planned["seller"] == set(intents("seller"))
    assert planned["buyer"] <= set(intents("buyer"))


def test_chats_are_of_all_lengths_and_about_many_goods() -> None:
    chats = [chat for chat, _, _ in make_chats(600, name="lengths", seed=14)]
    assert {len(chat.messages) for chat in chats} >= set(range(10))
    assert len({chat.title.lower() for chat in chats}) > 120
    assert any(not chat.price for chat in chats)


def test_goods_have_their_cases() -> None:
    for thing, goods in threads.bank()["goods"].items():
        assert about("{thing:gent} {thing:accs} [продаётся]", thing)
        assert {*goods["params"]} <= threads.bank()["params"].keys()


@pytest.mark.parametrize("seed", range(5))
def test_a_hurried_hand_keeps_the_words_that_deny(seed: int) -> None:
    text = typed("запаха нет, ничего не сломалось", random.Random(seed), slips=1.0).lower()
    assert "нет" in text
    assert " не " in text
