"""Turns a model's stream into a description: each sentence checked, an honest text when none passes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from service import grounding, guards
from service.letters import fold, stem
from service.morphology import names_a_thing
from service.sentences import SentenceSplitter, is_complete
from service.tasks.listing import (
    NEVER_COPIED,
    SALE,
    Grounds,
    Listing,
    fallback,
    plain_words,
    stems_of,
    tidy,
    untold,
)
from service.tasks.reading import Removed

AN_OFFER = re.compile(r"(?:в продаже|прода(?:ю|м|ется|ются))\b")
OFFERED = re.compile(AN_OFFER.pattern + r"((?:\s+[а-я-]+)+)")
OFFERED_WORD = re.compile(r"[а-я]{4,}")
OFFER_STEM = 5  # letters; «детские комбинезоны» of «комбинезон детский»
REPEATS_MAX = 2  # a model that repeats itself twice will go on doing so


class DescriptionReader:
    """The reader of one attempt (see `tasks.reading.Reader`).

    Sentences wait until one of them names the listing's subject: a text that never does is about something
    else and is dropped whole. Where the model's opening was dropped for a wrong word («женская сукула»), the
    seller's title opens in its place as soon as a sentence tells one of the listing's facts. Sentences that
    tell none («На вопросы отвечу») wait for the next that does or for the end, so that what the model left
    out can be told before them: with `complete`, the parameters that have a name and no place in the text.
    """

    def __init__(self, listing: Listing, *, max_chars: int, complete: bool = True) -> None:
        self.listing = listing
        self.max_chars = max_chars
        self.complete = complete
        self.removed: list[Removed] = []
        self.full = False
        self._splitter = SentenceSplitter()
        self._repetition = guards.Repetition()
        self._kept: list[str] = []
        self._held: list[str] = []
        self._lost_its_opening = False
        self._length = 0
        self._repeats = 0
        self._finish = "stop"

    @cached_property
    def _grounds(self) -> Grounds:
        """Made with the first piece of text, while the engine draws the next, and not before it is asked."""
        return Grounds.of(self.listing)

    @property
    def usable(self) -> bool:
        """True once a sentence has passed."""
        return bool(self._kept)

    def feed(self, text: str) -> list[str]:
        """Take the next piece, return the sentences that may be shown now."""
        _ = self._grounds
        return self._consider(self._splitter.feed(text))

    def flush(self, finish_reason: str) -> list[str]:
        """Take the end of the stream; what the token limit cut in mid-sentence is dropped."""
        rest = [] if self.full else self._splitter.flush()
        if finish_reason == "length":
            self._finish = "length"
            self.removed += [Removed(piece, "unfinished") for piece in rest if not is_complete(piece)]
            rest = [piece for piece in rest if is_complete(piece)]
        shown = self._consider(rest)
        if not self._kept:
            self.removed += [Removed(sentence, "off_topic") for sentence in self._held]
            self._held = []
        elif not self.full:
            if self.complete and finish_reason != "length":
                self._held[:0] = untold(self.listing, text=" ".join(self._kept))
            shown += self._release()
        return shown

    def _consider(self, sentences: Sequence[str]) -> list[str]:
        shown: list[str] = []
        for raw in sentences:
            if self.full:
                break
            sentence = tidy(raw)
            if reason := self._fault(sentence):
                self.removed.append(Removed(sentence, reason))
                self._lost_its_opening |= not self._held
                continue
            self._held.append(sentence)
            if self._tells_a_fact(sentence) if self._kept else self._names_the_subject(sentence):
                shown += self._release()
            elif (
                not self._kept
                and self._lost_its_opening
                and (opening := self._opening())
                and self._tells_a_fact(sentence)
            ):
                self._held.insert(0, opening)
                shown += self._release()
        return shown

    def _fault(self, sentence: str) -> str | None:
        """Return the code of the first reason against the sentence."""
        if reason := guards.find(sentence):
            return reason
        if self._repetition.seen(sentence):
            self._repeats += 1
            if self._repeats >= REPEATS_MAX:
                self.full = True
            return "repetition"
        if (
            self._names_only_the_category(sentence)
            or self._offers_something_else(sentence)
            or self._says_nothing(sentence)
        ):
            return "off_topic"
        if self._grounds.not_for_sale and SALE.search(fold(sentence).lower()):
            return "ungrounded_claim"
        if unsupported := self._grounds.evidence.unsupported(sentence):
            return unsupported[0].reason
        return None

    def _names_the_subject(self, sentence: str) -> bool:
        return not self._grounds.subject or bool(self._grounds.subject & stems_of(sentence))

    def _tells_a_fact(self, sentence: str) -> bool:
        return bool(grounding.used(self._grounds.facts, description=sentence))

    def _opening(self) -> str | None:
        """Return the title as a sentence, if it may be shown."""
        opening = tidy(self.listing.title)
        shown = len(opening) > 1 and not (guards.find(opening) or "").startswith(NEVER_COPIED)
        return opening if shown else None

    def _names_only_the_category(self, sentence: str) -> bool:
        """Tell «В продаже детская одежда и обувь» about a cap: true, and of no use to anyone."""
        said = {word for word in stems_of(sentence) if not word.startswith("прода")}
        return bool(said) and said <= self._grounds.category and not said <= self._grounds.title

    def _says_nothing(self, sentence: str) -> bool:
        """Tell «В продаже — недорого», an offer of no thing, and «На фото», a label without its value."""
        if AN_OFFER.match(fold(sentence).lower()):
            return not names_a_thing(sentence)
        return plain_words(sentence) in self._grounds.labels

    def _offers_something_else(self, sentence: str) -> bool:
        """Tell «В продаже посудомоечная машина» of a pump: the offer must be in the seller's words."""
        if not (opening := OFFERED.match(fold(sentence).lower())):
            return False
        known = {word[:OFFER_STEM] for word in self._grounds.evidence.stems}
        return any(stem(word)[:OFFER_STEM] not in known for word in OFFERED_WORD.findall(opening[1]))

    def _release(self) -> list[str]:
        shown: list[str] = []
        for sentence in self._held:
            if self._length + len(sentence) + bool(self._kept) > self.max_chars:
                self.full = True
                self._finish = "length"
                break
            self._length += len(sentence) + bool(self._kept)
            self._kept.append(sentence)
            shown.append(sentence)
        self._held = []
        return shown

    def fallback(self) -> list[str]:
        """Return the sentences that serve when none of the model's has passed."""
        return fallback(self.listing, max_chars=self.max_chars)

    def result(self) -> dict[str, Any]:
        """Return description, used_facts, removed_claims and finish."""
        description, finish = " ".join(self._kept), self._finish
        if not self._kept:
            description, finish = " ".join(self.fallback()), "fallback"
        return {
            "description": description,
            "used_facts": grounding.used(self._grounds.facts, description=description),
            "removed_claims": [{"text": piece.text, "reason": piece.reason} for piece in self.removed],
            "finish": finish,
        }
