"""The words of a summary: a model's sentences that say what was counted and no more, or such made by code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from service import guards, lexicon
from service.letters import fold, stem
from service.morphology import inflected
from service.sentences import SentenceSplitter, is_complete
from service.tasks.base import Prompt
from service.tasks.clauses import WORD
from service.tasks.topics import Topic, Topics

SECTION = "review_summary"
WHO = {"product": "Покупатели", "seller": "Покупатели", "service": "Клиенты"}
TOLD_MAX = 5  # aspects a side that the model is given; with more a small one loses the thread
CHARS_PER_TOKEN_MIN = 2.0  # of the worst tokenizer met on Russian texts (Mistral v0.1: 2.1)
NOT_COUNTED = "not_counted"  # the reason against a sentence that says anything but aspects of its side
NOTHING_COMMON = "Похвал или жалоб, которые повторялись бы, в отзывах нет."
_MOST = frozenset({"чаще", "больше"})


def prompts(topics: Topics, *, kind: str, max_chars: int) -> dict[int, Prompt]:
    """Return a question for each side (1, -1) that has aspects.

    A small model that is given both sides at once praises what is complained of.
    """
    room = max_chars // (2 if topics.pros and topics.cons else 1)
    return {
        side: Prompt(
            section=SECTION,
            fields={"who": WHO[kind], "praised": [], "blamed": [], name: _names(of, room=room // 2)},
            max_tokens=int(room / CHARS_PER_TOKEN_MIN) + 16,
        )
        for side, name, of in ((1, "praised", topics.pros), (-1, "blamed", topics.cons))
        if of
    }


def _names(topics: Sequence[Topic], *, room: int) -> list[str]:
    names: list[str] = []
    for topic in topics[:TOLD_MAX]:
        room -= len(topic.name) + 2
        if room < 0 and names:
            break
        names.append(accusative(topic.name))
    return names


def accusative(name: str) -> str:
    """Return a name as «хвалят» and «жалуются на» want it.

    The lexicon's names of two words are the same in it, and so are plurals of things.
    """
    return name if " " in name else inflected(name, case="accs")


class SummaryReader:
    """Takes the model's text piece by piece and lets pass what the topics say; then adds what it left out.

    A sentence passes if all its words are aspects or belong to the few that a summary needs, if each aspect
    follows a word of praise or complaint and stands on that side, and if it says something new, once.
    """

    def __init__(self, topics: Topics, *, kind: str, max_chars: int) -> None:
        self.topics = topics
        self.full = False
        self.passed: list[str] = []
        self.finish = "stop"
        self.removed: list[str] = []
        self._of_model = 0
        self._kind = kind
        self._room = max_chars
        self._splitter = SentenceSplitter()
        self._sides = {1: topics.pros, -1: topics.cons}
        self._names = {
            side: {_stems(topic.name): at for at, topic in enumerate(of)} for side, of in self._sides.items()
        }
        self._told: set[tuple[int, int]] = set()

    def feed(self, text: str) -> list[str]:
        """Take a piece and return the sentences that may be shown."""
        return self._consider(self._splitter.feed(text))

    def flush(self, finish: str) -> list[str]:
        """Take the end; what the token limit cut in mid-sentence is dropped."""
        rest = self._splitter.flush()
        if finish == "length" and not self.full:
            self.finish = "length"
            rest = [piece for piece in rest if is_complete(piece)]
        return self._consider(rest)

    def complete(self, side: int) -> list[str]:
        """Return a sentence made by code if a side (1 praise, -1 complaints) has aspects and none is told."""
        if not self._sides[side] or any(told == side for told, _ in self._told):
            return []
        sentence = self._composed(side)
        self._told.add((side, 0))
        self._room -= len(sentence) + 1
        self.passed.append(sentence)
        return [sentence]

    def end(self) -> list[str]:
        """Close the summary; where there is nothing to tell, say so."""
        if not self._of_model:
            self.finish = "fallback"
        if self.passed:
            return []
        self.passed.append(NOTHING_COMMON)
        return [NOTHING_COMMON]

    def _consider(self, sentences: Sequence[str]) -> list[str]:
        shown = []
        for sentence in sentences:
            if self.full:
                break
            told = self._says(sentence)
            if not told or guards.find(sentence) or told <= self._told:
                self.removed.append(guards.find(sentence) or NOT_COUNTED)
            elif len(sentence) + 1 > self._room - self._needed(told):
                self.full = True
                self.finish = "length"
            else:
                self._told |= told
                self._room -= len(sentence) + 1
                shown.append(sentence)
        self._of_model += len(shown)
        self.passed += shown
        return shown

    def _needed(self, told: set[tuple[int, int]]) -> int:
        """Return the room to keep for the side that is not told yet: praise must not crowd out complaints."""
        sides = {side for side, _ in self._told | told}
        return sum(
            len(self._composed(side, num=1)) + 1
            for side, of in self._sides.items()
            if of and side not in sides
        )

    def _says(self, sentence: str) -> set[tuple[int, int]]:
        """Return (side, index) of the aspects told; nothing if anything else is said."""
        words = [fold(word).lower() for word in WORD.findall(sentence)]
        if any(map(str.isdigit, sentence)):
            return set()
        stems = [stem(word) for word in words]
        told: list[tuple[int, int]] = []
        side = at = 0
        while at < len(words):
            found = self._aspect(stems, at, side)
            if found is not None:
                index, length = found
                if (side, index) in told:
                    return set()
                told.append((side, index))
                at += length
                continue
            kind = _kind(words[at])
            if not kind:
                return set()
            side = {"praise": 1, "complaint": -1}.get(kind, side)
            at += 1
        if told and "всего" in words and not _MOST.isdisjoint(words) and told[0][1] != 0:
            return set()
        return set(told)

    def _aspect(self, stems: Sequence[str], at: int, side: int) -> tuple[int, int] | None:
        """Return (index, number of words) of the aspect of this side whose name begins here."""
        found = [
            (index, len(name))
            for name, index in self._names.get(side, {}).items()
            if tuple(stems[at : at + len(name)]) == name
        ]
        return max(found, key=lambda pair: pair[1], default=None)

    def _composed(self, side: int, *, num: int | None = None) -> str:
        """Return «Жалуются на запах (12 отзывов) и упаковку (3).», as many aspects as there is room for."""
        topics = self._sides[side][:num]
        lead = {1: f"{WHO[self._kind]} хвалят ", -1: "Жалуются на "}
        if side < 0 and not self.topics.pros:
            lead[-1] = f"{WHO[self._kind]} жалуются на "
        room = self._room
        if num is None and side > 0 and self.topics.cons:  # the complaints have yet to follow
            room -= len(self._composed(-1, num=1)) + 1
        while True:
            counts = [f" ({topic.count})" for topic in topics]
            counts[0] = f" ({plural(topics[0].count)})"
            parts = [accusative(topic.name) + count for topic, count in zip(topics, counts, strict=True)]
            text = f"{lead[side]}{_listed(parts)}."
            if len(text) <= room:
                return text
            if len(topics) == 1:
                return f"{lead[side]}{accusative(topics[0].name)}."
            topics = topics[:-1]


def plural(count: int) -> str:
    """Return «1 отзыв», «2 отзыва», «5 отзывов»."""
    if count % 10 == 1 and count % 100 != 11:
        return f"{count} отзыв"
    few = count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14)
    return f"{count} отзыва" if few else f"{count} отзывов"


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} и {parts[-1]}" if len(parts) > 1 else parts[0]


def _stems(name: str) -> tuple[str, ...]:
    return tuple(stem(fold(word).lower()) for word in WORD.findall(name))


@cache
def _terms() -> tuple[dict[str, str], lexicon.Terms]:
    kinds = {
        entry: kind for kind, entries in lexicon.read("reviews.toml")["summary"].items() for entry in entries
    }
    return kinds, lexicon.Terms(kinds)


def _kind(word: str) -> str:
    kinds, terms = _terms()
    entries = terms.entries_of(word)
    return kinds[entries[0]] if entries else ""
