"""Tell why a reply may not be suggested: it states what nobody stated, or fits neither role nor chat.

A statement may use words that claim nothing (`replies.toml`, neutral) and words that one single statement
of our own side has, exactly so. A question may ask anything of its role's vocabulary, but brings no number,
name or word of its own. What is not known to be harmless is dropped: a wrong promise costs the user more
than a missing reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from rapidfuzz import fuzz

from service import guards, lexicon
from service.letters import fold, stem
from service.numerals import numbers
from service.sentences import is_complete
from service.shapes.suggest_replies import Role
from service.tasks.stated import NEGATIONS, Stated, readings, split, words_of
from service.tasks.thread import Thread, Turn, patterns, topics_of

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "unfinished": "the token limit cut it, or nothing was written",
        "too_long": "more than 160 characters or more than two sentences",
        "echo": "a message of the chat over again",
        "wrong_role": "the other side would say so: a seller who asks the price, a buyer who sells",
        "commits": "«да», «договорились» where that would accept an offer or state something",
        "ungrounded_number": "a number that our own side did not state",
        "ungrounded_claim": "a word that is neither neutral nor in a statement of our own side",
        "off_topic": "a fact that nobody asked for, or a sentence that does nothing",
        "covered": "a question that the chat or the listing has answered, or that was asked before",
        "off_intent": "not what the model was asked for: another topic, a statement for a question",
        "alike": "says what another suggestion says",
        **guards.REASONS,
    }
)

CHARS_MAX = 160
SENTENCES_MAX = 2
ECHO_MIN = 88  # of 100; «Да, ещё продаётся!» and «да еще продается»
ALIKE_WORDS = 0.5  # of the stems of both
ALIKE_LETTERS = 85  # of 100
_MARKS = " \t\"'«»“”„*_`"
_ASKING_START = re.compile(
    r"(?:как(?:ой|ая|ое|ие|ую|ого|им)|в\s+как\w+|из\s+как\w+|где|когда|куда|откуда|сколько|почему|что|есть\s+ли|\w+\s+ли)\b"
)


def tidy_reply(text: str, *, cut: bool) -> str:
    """Return the first line with its sentences whole; `cut` tells that the token limit ended the text."""
    line = next((line.strip(_MARKS) for line in text.splitlines() if line.strip(_MARKS)), "")
    sentences = split(line)
    if cut and sentences and not is_complete(sentences[-1]):
        sentences.pop()
    reply = " ".join(sentences)
    if reply and not is_complete(reply):
        asks = _ASKING_START.match(fold(sentences[-1]).lower())
        reply = reply.rstrip(" ,;:-–—") + ("?" if asks else ".")
    return reply[:1].upper() + reply[1:]


def without_greeting(reply: str) -> str:
    """Return the reply without «Здравствуйте!» in front: our side has greeted already."""
    first, *rest = split(reply) or [""]
    greeting = _words("greeting")
    alone = all(greeting.entries_of(word) for word in words_of(fold(first).lower()))
    return " ".join(rest) if rest and alone else reply


class Checker:
    """Knows one chat and its listing, and tells the first fault of a reply to it."""

    def __init__(self, *, role: Role, thread: Thread, stated: Stated, turns: Sequence[Turn]) -> None:
        self._role: Role = role
        self._thread = thread
        self._stated = stated
        self._turns = [(turn.own, _plain(turn.text)) for turn in turns]
        self._ground = (*stated.messages, *stated.listing) if role == "seller" else stated.messages
        self._numbers = stated.numbers()
        self._heard = frozenset(words_of(thread.last))

    def fault(self, reply: str, *, intent: str) -> str | None:
        """Return the code (see `REASONS`) of the first fault, or None."""
        if not reply:
            return "unfinished"
        sentences = split(reply)
        if not 2 <= len(reply) <= CHARS_MAX or len(sentences) > SENTENCES_MAX + (intent == "answer"):
            return "too_long"
        for sentence in sentences:
            if reason := guards.find(sentence):
                return reason
        never = patterns("never")
        lower = fold(reply).lower()
        if never["any"].search(lower):
            return "ungrounded_claim"
        if never[self._role].search(lower):
            return "wrong_role"
        for sentence in sentences:
            asks = sentence.rstrip(" )»\"'!").endswith("?")
            if reason := self._question(sentence) if asks else self._statement(sentence):
                return reason
        if self._is_echo(reply):
            return "echo"
        return self._purpose(reply, intent=intent)

    def _statement(self, sentence: str) -> str | None:
        words = words_of(patterns("neutral")["phrases"].sub(" ", fold(sentence).lower()))
        loose = _words("filler", "greeting", "acts", self._role)
        affirming = [word for word in words if _words("affirming").entries_of(word)]
        rest = [word for word in words if not loose.entries_of(word) and word not in affirming]
        named = [word for word in rest if stem(word) in self._stated.title]
        if not numbers(fold(sentence).lower()) and len(named) == len(rest):
            if affirming and not self._thread.affirmable:
                return "commits"
            return None if act_of(sentence) in lexicon.read("replies.toml")["acts"] else "off_topic"
        by = self._stated.messages if affirming else self._ground
        conditions = frozenset(lexicon.read("replies.toml")["neutral"]["conditions"])
        idle = _words("filler", "greeting", "affirming")
        rest = [word for word in words if not idle.entries_of(word) and word not in NEGATIONS]
        if not self._states(rest) or not self._stated.supports(sentence, rest, by=by, conditions=conditions):
            if not self._numbers_known(sentence):
                return "ungrounded_number"
            return "ungrounded_claim"
        return None if self._is_asked_for(sentence) else "off_topic"

    def _question(self, sentence: str) -> str | None:
        lower = fold(sentence).lower()
        if not self._numbers_known(sentence):
            return "ungrounded_number"
        never = patterns("never")
        if self._role == "seller" and never["question_of_seller"].search(lower):
            return "wrong_role"
        loose = _words("filler", "greeting", "acts", self._role, f"{self._role}_question")
        for word in words_of(lower):
            known = loose.entries_of(word) or word in self._heard or stem(word) in self._stated.title
            if not known:
                affirms = bool(_words("affirming").entries_of(word))
                if not affirms or not self._thread.affirmable:
                    return "commits" if affirms else "ungrounded_claim"
        if self._role == "seller":
            return None if never["addressed"].search(lower) else "wrong_role"
        topics = _asked_topics(lower)
        covered = self._thread.covered | ({"price"} if self._stated.price else set())
        return "covered" if topics and topics <= covered else None

    def _states(self, words: Sequence[str]) -> bool:
        """Tell «есть ещё» from words that say what there is."""
        return not {*words} <= {"есть", "имеется", "было", "будет"}

    def _numbers_known(self, sentence: str) -> bool:
        found = numbers(fold(sentence).lower())
        return not any(self._numbers.isdisjoint(readings(number)) for number in found)

    def _is_asked_for(self, sentence: str) -> bool:
        """Tell whether a stated fact has to do with what waits for an answer."""
        lower = fold(sentence).lower()
        if set(topics_of(lower)) & set(self._thread.topics):
            return True
        heard = {stem(word) for word in self._heard if len(word) > 3}
        return not heard.isdisjoint(stem(word) for word in words_of(lower))

    def _is_echo(self, reply: str) -> bool:
        """Tell a message over again; a fact that our own side stated may be confirmed."""
        plain = _plain(reply)
        confirms = any(_is_fact(sentence) for sentence in split(reply))
        return any(fuzz.ratio(plain, said) >= ECHO_MIN for own, said in self._turns if not (own and confirms))

    def _purpose(self, reply: str, *, intent: str) -> str | None:
        """Tell whether the reply does what the intent says."""
        data = lexicon.read("replies.toml")
        act = act_of(reply)
        shape = patterns("shape").get(intent)
        if act not in data["acts_of_intent"].get(intent, ("question", "invite")):
            return "off_intent"
        lower = fold(reply).lower()
        if shape and not shape.search(lower):
            return "off_intent"
        if self._role == "seller" and act == "question":
            strange = _asked_topics(lower) - {data["topic_of_intent"].get(intent), *self._thread.topics}
            return "off_intent" if strange else None
        return None


def act_of(reply: str) -> str | None:
    """Return what a reply does: "question", "stated", or a name of the table `acts`; None if nothing."""
    sentences = split(reply)
    if any(sentence.rstrip(" )»\"'!").endswith("?") for sentence in sentences):
        return "question"
    words = [word for sentence in sentences for word in words_of(fold(sentence).lower())]
    for act, entries in lexicon.read("replies.toml")["acts"].items():
        if not {f"={word}" for word in words}.isdisjoint(entries):
            return str(act)
    return "stated" if any(_is_content(word) for word in words) else None


def alike(one: str, other: str) -> bool:
    """Tell whether two replies say the same: nearly the same letters, stems, or the same single act."""
    act = act_of(one)
    if act == act_of(other) and act not in ("question", "invite", "stated"):
        return True
    first, second = _content_stems(one), _content_stems(other)
    union = first | second
    if union and len(first & second) > ALIKE_WORDS * len(union):
        return True
    return fuzz.token_sort_ratio(_plain(one), _plain(other)) >= ALIKE_LETTERS


def _is_fact(sentence: str) -> bool:
    return act_of(sentence) in ("stated", "affirm")


def _asked_topics(lower: str) -> frozenset[str]:
    return frozenset(topics_of(lower)) - {"greeting", "thanks", "permission", "later", "buying"}


def _content_stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words_of(fold(text).lower()) if _is_content(word))


def _is_content(word: str) -> bool:
    return len(word) > 2 and not _words("greeting", "function").entries_of(word)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", fold(text).lower()))


@cache
def _words(*lists: str) -> lexicon.Terms:
    """Return the words of some lists of the neutral ones; `acts` are those that name an act."""
    data = lexicon.read("replies.toml")
    acts = [entry for entries in data["acts"].values() for entry in entries]
    affirming = set(data["neutral"]["affirming"])
    entries: list[str] = []
    for name in lists:
        entries += (
            [entry for entry in acts if entry not in affirming] if name == "acts" else data["neutral"][name]
        )
    return lexicon.Terms(entries)
