"""Read a chat about a listing: whose turn it is, what was asked, and whether to suggest a reply at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from rapidfuzz.distance import Levenshtein

from service import guards, lexicon
from service.letters import fold
from service.shapes.suggest_replies import Role

WINDOW = 8  # messages; what was said before them decides nothing any more
READ_CHARS = 1000  # of a message; questions stand at its beginning, safety is checked on the whole
_ASKED_OF = (
    "permission",
    "greeting",
    "thanks",
    "later",
    "statement",
)  # what a plain «хорошо» commits to nothing
_SMALL_TALK = ("greeting", "thanks", "later", "permission")
_COMPLAINTS = frozenset({"condition", "documents"})  # «пришло, не работает» does not end a chat
_ALONE = "_alone"  # such a topic is one only where there is no other: «торг есть?», «есть?»
_AT_ANY_TIME = ("threat", "fraud", "injection")  # who tried that once is not answered later either
_OWN_SITE = re.compile(r"(?:https?://)?(?:www\.|m\.)?avito\.ru(?=[/\s?]|$)\S*", re.IGNORECASE)
_GUARDED = ("prohibited", "contact_link", "contact_messenger")
_RUSSIAN_WORD = re.compile(r"[а-я]{2}")
_WORD = re.compile(r"[^\W\d_]+")
_TYPO_MIN = 5  # letters; shorter words differ from each other by one letter anyway


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `own` tells whether the side that we suggest for wrote it."""

    own: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """What a chat says to the one who answers next.

    `topics` are those of the messages that wait for an answer, `covered` those of the whole chat. `asks`: an
    answer is expected; `affirmable`: a plain «хорошо» would promise nothing about the deal.
    """

    abstained: str | None
    last: str = ""  # what waits for an answer, folded, in lower case
    topics: tuple[str, ...] = ()
    covered: frozenset[str] = frozenset()
    asks: bool = False
    affirmable: bool = False
    own_spoke: bool = False


def read(turns: Sequence[Turn], *, role: Role) -> Thread:
    """Read a chat for the side `role`, whose own messages are marked."""
    if not turns:
        return Thread(abstained="no_messages" if role == "seller" else None)
    if turns[-1].own:
        return Thread(abstained="own_turn")
    waiting = _waiting(turns)
    earlier = [turn.text for turn in turns[-WINDOW:] if not turn.own]
    last = "\n".join(_lower(text[:READ_CHARS]) for text in waiting)
    if is_unsafe(waiting) or is_unsafe(earlier, kinds=_AT_ANY_TIME):
        return Thread(abstained="unsafe")
    if _is_closing(last):
        return Thread(abstained="ended")
    if not _is_russian(last):
        return Thread(abstained="unclear")
    if _is_done(last, by_seller=role == "buyer"):
        return Thread(abstained="ended")
    topics, asks = topics_of(last), is_asking(last, by_buyer=role == "seller")
    if set(topics) <= {"greeting", "thanks"}:
        topics = topics if topics and not asks else ("question" if asks else "statement",)
    harmless = set(topics) <= set(_ASKED_OF) and not re.search(r"\d", last)
    return Thread(
        abstained=None,
        last=last,
        topics=topics,
        covered=frozenset(
            topic for turn in turns[-WINDOW:] for topic in topics_of(_lower(turn.text[:READ_CHARS]))
        ),
        asks=asks,
        affirmable=harmless and (not asks or topics == ("permission",)),
        own_spoke=any(turn.own for turn in turns),
    )


def topics_of(text: str) -> tuple[str, ...]:
    """Return what a folded lower-case text is about, in the table's order; small talk only if it is alone."""
    found = [topic for topic, pattern in patterns("topics").items() if pattern.search(text)]
    weak = [topic for topic in found if topic.endswith(_ALONE)]
    serious = [topic for topic in found if topic not in _SMALL_TALK and topic not in weak]
    if not serious:
        guessed = _misspelt(text)
        found += guessed
        serious = [topic.removesuffix(_ALONE) for topic in weak] or [
            topic for topic in guessed if topic not in _SMALL_TALK
        ]
    silenced = lexicon.read("replies.toml")["silenced"]
    hushed = {other for topic in serious for other in silenced.get(topic, ())}
    if serious:
        return tuple(topic for topic in serious if topic not in hushed)
    return tuple(dict.fromkeys(topic for topic in found if topic != "greeting")) or tuple(found[:1])


def is_asking(text: str, *, by_buyer: bool) -> bool:
    """Tell whether a folded lower-case text expects an answer, with a question mark or without."""
    asking = patterns("asking")
    return "?" in text or any(
        asking[key].search(text) for key in (("patterns", "by_buyer") if by_buyer else ("patterns",))
    )


def is_unsafe(texts: Iterable[str], *, kinds: Sequence[str] | None = None) -> bool:
    """Tell whether any text holds what nobody should answer; `kinds` are keys of the table, default all."""
    table = patterns("unsafe")
    for text in texts:
        lower = _lower(_OWN_SITE.sub(" ", text))
        if kinds is None and guards.find(lower) in _GUARDED:
            return True
        if any(table[kind].search(lower) for kind in kinds or table):
            return True
        if (kinds is None or "injection" in kinds) and _marks().search(lower):
            return True
    return False


@cache
def orders() -> tuple[re.Pattern[str], ...]:
    """Return the expressions of orders to a model, over folded lower-case text."""
    return patterns("unsafe")["injection"], _marks()


def _waiting(turns: Sequence[Turn]) -> list[str]:
    """Return the texts of the other side since our own last message."""
    texts: list[str] = []
    for turn in reversed(turns[-WINDOW:]):
        if turn.own:
            break
        texts.append(turn.text)
    return texts[::-1]


def _lower(text: str) -> str:
    return fold(text).lower()


def _is_closing(last: str) -> bool:
    """Tell «спасибо, до свидания» and «ок» from a message that wants something."""
    words = _WORD.findall(last)
    return bool(words) and "?" not in last and all(_closing_words().entries_of(word) for word in words)


def _is_done(last: str, *, by_seller: bool) -> bool:
    """Tell whether the deal is off or over, and nothing else is wanted."""
    if "?" in last:
        return False
    closing = patterns("closing")
    rest = closing["done"].sub(" ", last)
    if by_seller:
        rest = closing["done_by_seller"].sub(" ", rest)
    return (
        rest != last
        and not is_asking(rest, by_buyer=not by_seller)
        and _COMPLAINTS.isdisjoint(topics_of(rest))
    )


def _is_russian(last: str) -> bool:
    return bool(_RUSSIAN_WORD.search(last) or topics_of(last)) and guards.find(last) != "not_russian"


def _misspelt(text: str) -> list[str]:
    words = [word for word in _WORD.findall(text) if len(word) >= _TYPO_MIN]
    return [
        topic
        for topic, known in lexicon.read("replies.toml")["typo"].items()
        if any(Levenshtein.distance(word, right, score_cutoff=1) <= 1 for word in words for right in known)
    ]


@cache
def patterns(section: str) -> dict[str, re.Pattern[str]]:
    """Return the expressions of a section of `replies.toml`, each list as one from the edge of a word."""
    return {
        name: re.compile(rf"\b(?:{'|'.join(entries)})")
        for name, entries in lexicon.read("replies.toml")[section].items()
        if not name.endswith(("words", "_any"))  # those have compilers of their own
    }


@cache
def _marks() -> re.Pattern[str]:
    marks = lexicon.read("replies.toml")["unsafe"]["injection_any"]
    return re.compile("|".join(marks), re.MULTILINE)


@cache
def _closing_words() -> lexicon.Terms:
    return lexicon.Terms(lexicon.read("replies.toml")["closing"]["words"])
