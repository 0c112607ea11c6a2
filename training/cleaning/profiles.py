"""What a text of each kind must be like: the table of profiles.toml, with a run file's changes on top."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from training.errors import ConfigError
from training.section import Section, Share

BUILT_IN: Final = Path(__file__).with_name("profiles.toml")

Count = Annotated[int, Field(ge=1)]
Shares = dict[Annotated[int, Field(ge=2)], Share]  # by length of the n-gram, in words
NO_SHARES: Final[dict[int, float]] = {}


class NearDuplicates(Section):
    """MinHash: n-grams of so many characters, `buckets` of `hashes` each."""

    ngram: Count = 5
    buckets: Count = 20
    hashes: Count = 6


class Gopher(Section):
    """Settings of datatrove's GopherQualityFilter, by its names; what is None is not asked."""

    min_doc_words: int | None = None
    max_doc_words: int | None = None
    min_avg_word_length: float | None = None
    max_avg_word_length: float | None = None
    max_symbol_word_ratio: float | None = None
    max_bullet_lines_ratio: float | None = None
    max_ellipsis_lines_ratio: float | None = None
    max_non_alpha_words_ratio: float | None = None  # the least share of words that have a letter
    min_stop_words: int | None = None
    stop_words: tuple[str, ...] = ()


class Repetition(Section):
    """Settings of datatrove's GopherRepetitionFilter, by its names; what is None is not asked.

    Not applied under `min_chars`: in a line of ten words any two are 20 % of it.
    """

    min_chars: int = 0
    dup_line_frac: Share | None = None
    dup_para_frac: Share | None = None
    dup_line_char_frac: Share | None = None
    dup_para_char_frac: Share | None = None
    top_n_grams: Shares = NO_SHARES
    dup_n_grams: Shares = NO_SHARES


class FineWeb(Section):
    """Settings of datatrove's FineWebQualityFilter, by its names."""

    line_punct_thr: Share
    new_line_ratio: float
    char_duplicates_ratio: Share
    short_line_thr: float
    short_line_length: int = 30


class Shape(Section):
    """What short texts are judged by, where the web's filters cannot: letters, runs, one word repeated."""

    min_letters: int
    min_letter_share: Share  # of the characters that are no spaces
    max_run_share: Share  # of the characters that stand in runs of ten and more of the same
    max_word_share: Share  # of the words that are the commonest one, where there are eight and more


class Profile(Section):
    """What a text of one kind must be like; a table that is None is not applied.

    `language_score`: least probability of the languages; `script_share`: least share of the letters that
    are of their scripts. `adult`: what becomes of texts with words of adult.toml.
    """

    min_chars: Annotated[int, Field(ge=0)]
    max_chars: Count
    languages: Annotated[tuple[str, ...], Field(min_length=1)]
    language_score: Share
    script_share: Share
    adult: Literal["keep", "drop"] = "keep"
    near_duplicates: NearDuplicates = NearDuplicates()
    gopher: Gopher | None = None
    repetition: Repetition | None = None
    fineweb: FineWeb | None = None
    shape: Shape | None = None

    @model_validator(mode="after")
    def _leaves_room(self) -> Profile:
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars {self.min_chars} is more than max_chars {self.max_chars}")
        return self


def load_profiles(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Profile]:
    """Return the profiles by name: the built-in ones, changed and added to by a run file.

    A new name must say which one it `extends`: one that is built in or stands before it. Raises ConfigError
    with the profile and the key.
    """
    tables: dict[str, dict[str, Any]] = tomllib.loads(BUILT_IN.read_text(encoding="utf-8"))
    for name, change in changes.items():
        parent = str(change.get("extends", name))
        if parent not in tables:
            known = ", ".join(sorted(tables))
            told = (
                f"extends {parent!r}, which is not known" if "extends" in change else "is new: say `extends`"
            )
            raise ConfigError(f"corpus.profiles.{name}: {told}; there are {known}")
        tables[name] = _merged(tables[parent], {key: change[key] for key in change if key != "extends"})
    return {name: _profile(name, table) for name, table in tables.items()}


def _merged(table: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table with the change's keys over its own, tables within tables alike; `false` takes out."""
    merged = dict(table)
    for key, value in change.items():
        old = merged.pop(key, None)
        if isinstance(value, Mapping):
            merged[key] = _merged(old if isinstance(old, dict) else {}, value)
        elif value is not False:
            merged[key] = value
    return merged


def _profile(name: str, table: Mapping[str, Any]) -> Profile:
    """Return the checked profile."""
    try:
        return Profile.model_validate_json(json.dumps(table))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("corpus.profiles", name, *first["loc"]))
        raise ConfigError(f"{where}: {first['msg']}") from error
