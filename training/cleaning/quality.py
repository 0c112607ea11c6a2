"""Drops texts that teach nothing, each kind by its own measure: an ad is not judged as a web page."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result
from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.writers.disk_base import DiskWriter
from datatrove.utils.word_tokenizers import WordTokenizer

from training.cleaning.adult import find_adult
from training.cleaning.profiles import Profile, Shape
from training.cleaning.repetition import FastRepetition

WORD: Final = re.compile(r"\w+|\.{2,}|-{2,}|[^\w\s]")
NAMED: Final = re.compile(r"[^\W\d_]{3,}")
LETTER: Final = re.compile(r"[^\W\d_]")
RUN: Final = re.compile(r"(\S)\1{9,}")  # «Крутооооо!!!!!» has none
MANY_WORDS: Final = 8  # from which on the commonest one's share means something


class Words(WordTokenizer):
    """Words and punctuation marks apart, which is how the published thresholds were counted.

    datatrove's tokenizer for Russian is spaCy's: a dependency of its own, and many times slower.
    """

    def word_tokenize(self, text: str) -> list[str]:
        """Return words and marks in order."""
        return WORD.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """Return the lines; no filter here asks for sentences."""
        return text.splitlines()

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Return where words and marks begin and end."""
        return [found.span() for found in WORD.finditer(text)]


class Quality(BaseFilter):
    """Drop what the document's profile refuses; length first, so that nothing slow sees a huge text."""

    name = "Quality"

    def __init__(self, profiles: dict[str, Profile], *, exclusion_writer: DiskWriter | None = None) -> None:
        super().__init__(exclusion_writer)
        self.profiles = profiles
        words = Words()
        self.filters = {name: _filters(profile, words) for name, profile in profiles.items()}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Return whether the text is worth keeping, or the first reason why not."""
        profile = self.profiles[doc.metadata["profile"]]
        if len(doc.text) < profile.min_chars:
            return False, "too_short"
        if len(doc.text) > profile.max_chars:
            return False, "too_long"
        if not LETTER.search(doc.text):
            return False, "no_letters"
        if profile.adult == "drop" and (kind := find_adult(doc.text)):
            return False, f"adult_{kind}"
        if profile.shape and (reason := misshapen(doc.text, profile.shape)):
            return False, reason
        for min_chars, one in self.filters[doc.metadata["profile"]]:
            if len(doc.text) >= min_chars:
                kept, reason = get_filter_result(one.filter(doc))
                if not kept:
                    return False, str(reason)
        return True


def misshapen(text: str, shape: Shape) -> str | None:
    """Return why a short text is none worth keeping: a price, a number, one word or mark over and over."""
    solid = "".join(text.split())
    letters = len(LETTER.findall(solid))
    if letters < shape.min_letters or letters < shape.min_letter_share * len(solid):
        return "few_letters"
    if sum(len(run.group()) for run in RUN.finditer(solid)) > shape.max_run_share * len(solid):
        return "repeated_character"
    words = NAMED.findall(text.lower())
    if len(words) >= MANY_WORDS:
        (_, most), *_ = Counter(words).most_common(1)
        if most > shape.max_word_share * len(words):
            return "repeated_word"
    return None


def _filters(profile: Profile, words: Words) -> list[tuple[int, BaseFilter]]:
    """Return datatrove's filters as the profile sets them, cheap ones first, each with its least length."""
    filters: list[tuple[int, BaseFilter]] = []
    if profile.fineweb:
        filters.append((0, FineWebQualityFilter(language=words, **profile.fineweb.model_dump())))
    if profile.gopher:
        filters.append((0, GopherQualityFilter(language=words, **profile.gopher.model_dump())))
    if profile.repetition:
        settings = profile.repetition.model_dump(exclude={"min_chars"})
        for name in ("top_n_grams", "dup_n_grams"):
            settings[name] = tuple(settings[name].items())
        filters.append((profile.repetition.min_chars, FastRepetition(language=words, **settings)))
    return filters
