"""Cards: what one servable checkpoint is, where its weights are and how each task samples from it."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from models.calibration import Calibration
from models.errors import CardError, StoreError
from models.locations import Packaged, check_file_name, parse
from models.packed import shard_names
from models.section import Name, Section, Sha256, Text, Url, Word, read, stems

__all__ = ["CARDS", "TOKENIZER_PROBE", "Card", "CardError", "Digests", "Evaluation", "TaskSettings"]
__all__ += ["Weights", "fingerprint", "load_card", "load_cards"]

CARDS: Final = Path(__file__).parent / "cards"

# What tokenizers disagree on: Cyrillic, ё, runs of digits and spaces, Latin inside Russian, a long word,
# emoji of one and of several code points, punctuation, a newline. Changing it changes every fingerprint.
TOKENIZER_PROBE: Final = (
    "Продам велосипед Stels Navigator-26, чёрный, в отличном состоянии!\n"
    "Цена: 12 500 ₽ (торг), пробег 1234567 км; размер 38×52,5 см.  iPhone 15 Pro Max 256GB 🚲👨‍👩‍👧\n"
    "Водогрязеторфопарафинолечение — «ёлка», it's OK…"
)


def _lead_somewhere(weights: str) -> str:
    try:
        parse(weights)
    except StoreError as error:
        raise ValueError(str(error)) from error
    return weights


def _stay_in_the_folder(digests: dict[str, str]) -> dict[str, str]:
    try:
        for name in digests:
            check_file_name(name, uri="the folder of the weights")
    except StoreError as error:
        raise ValueError(str(error)) from error
    return digests


Weights = Annotated[str, AfterValidator(_lead_somewhere)]  # a URI of models/locations.py
Digests = Annotated[dict[str, Sha256], Field(min_length=1), AfterValidator(_stay_in_the_folder)]  # by file


class TaskSettings(Section):
    """The prompt of one task and how its answer is drawn; names and ranges are vLLM's."""

    prompt: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*\.v[1-9][0-9]*$")]
    max_tokens: int = Field(ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), strict=False)
    seed: int | None = Field(default=None, ge=0)
    attempts: int = Field(default=1, ge=1, le=4)

    @property
    def template(self) -> tuple[str, str]:
        """The prompt's task and version, as `models.prompts.render` takes them."""
        task, _, version = self.prompt.rpartition(".")
        return task, version


class Evaluation(Section):
    """One measured number, with all that is needed to measure it again."""

    name: Text
    value: float
    n: int | None = Field(default=None, ge=1)
    stderr: float | None = Field(default=None, ge=0)
    command: Text | None = None
    commit: Word
    hardware: Text
    date: datetime.date = Field(strict=False)


class Card(Section):
    """One servable checkpoint.

    `weights_sha256` lists the files that must be in the folder that `weights` leads to, `tokenizer_sha256`
    is of the tokenizer.json that is served, `tokenizer_fingerprint` of what it makes of TOKENIZER_PROBE.
    `format`: a folder of Hugging Face, one GGUF file, or packed shards (packed.py) and all files beside.
    `chat_template` names models/templates/NAME.chat.jinja, for a base model that has none of its own.
    """

    name: Name
    base: Text
    licence: Text
    licence_url: Url | None = None
    data: Text
    notes: Text | None = None
    weights: Weights
    weights_sha256: Digests
    format: Literal["hf", "gguf", "int8"]
    tokenizer_sha256: Sha256
    tokenizer_fingerprint: Sha256
    vocab_size: int = Field(ge=1)
    context_length: int = Field(ge=1)
    chat_template: Name | None = None
    tasks: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], TaskSettings] = Field(
        min_length=1
    )
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    evaluation: tuple[Evaluation, ...] = Field(default=(), strict=False)
    git_sha: Word

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        location = parse(self.weights)
        if isinstance(location, Packaged) and set(self.weights_sha256) != {location.file}:
            raise ValueError(
                f"weights give {location.file}, so weights_sha256 has to list it and nothing else"
            )
        if self.format == "int8":
            try:
                shard_names(self.weights_sha256)
            except StoreError as error:
                raise ValueError(f"weights_sha256 of packed weights: {error}") from error
        if unknown := self.calibration.keys() - self.tasks.keys():
            raise ValueError(f"calibration.{min(unknown)} is of no task of this card")
        for task, settings in self.tasks.items():
            if settings.max_tokens >= self.context_length:
                raise ValueError(f"tasks.{task}.max_tokens leaves no room for a prompt in context_length")
        return self


def fingerprint(ids: Sequence[int]) -> str:
    """Return the sha256 of token ids written in decimals with commas between."""
    return hashlib.sha256(",".join(str(int(token)) for token in ids).encode()).hexdigest()


def load_card(name_or_path: str | Path) -> Card:
    """Read one card; a bare name is models/cards/NAME.toml. Raises CardError."""
    bare = isinstance(name_or_path, str) and re.fullmatch(r"[^/\\]+(?<!\.toml)", name_or_path)
    path = CARDS / f"{name_or_path}.toml" if bare else Path(name_or_path)
    card = read(path, Card)
    if card.name != path.stem:
        raise CardError(f"{path}: name: is {card.name!r}, but the file is called {path.stem!r}")
    return card


def load_cards(folder: Path = CARDS) -> dict[str, Card]:
    """Read every card of a folder, by name. Raises CardError."""
    if not folder.is_dir():
        raise CardError(f"{folder}: there is no such folder of cards")
    return {stem: load_card(folder / f"{stem}.toml") for stem in stems(folder)}
