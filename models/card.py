"""Cards: what one servable checkpoint is, where its weights are and how each task samples from it."""

from __future__ import annotations

import datetime
import difflib
import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from models.calibration import Calibration
from models.errors import CardError, StoreError
from models.locations import Packaged, check_file_name, parse
from models.packed import shard_names

__all__ = ["CARDS", "TOKENIZER_PROBE", "Card", "CardError", "Evaluation", "TaskSettings", "fingerprint"]
__all__ += ["load_card", "load_cards"]

CARDS: Final = Path(__file__).parent / "cards"

# What tokenizers disagree on: Cyrillic, ё, runs of digits and spaces, Latin inside Russian, a long word,
# emoji of one and of several code points, punctuation, a newline. Changing it changes every fingerprint.
TOKENIZER_PROBE: Final = (
    "Продам велосипед Stels Navigator-26, чёрный, в отличном состоянии!\n"
    "Цена: 12 500 ₽ (торг), пробег 1234567 км; размер 38×52,5 см.  iPhone 15 Pro Max 256GB 🚲👨‍👩‍👧\n"
    "Водогрязеторфопарафинолечение — «ёлка», it's OK…"
)

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
_Text = Annotated[str, StringConstraints(pattern=r"\S")]
_Word = Annotated[str, StringConstraints(pattern=r"^\S+$")]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Section(BaseModel):
    """What all sections share: nothing unknown, nothing changed later, no "1" for 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TaskSettings(_Section):
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


class Evaluation(_Section):
    """One measured number, with all that is needed to measure it again."""

    name: _Text
    value: float
    n: int | None = Field(default=None, ge=1)
    stderr: float | None = Field(default=None, ge=0)
    command: _Text | None = None
    commit: _Word
    hardware: _Text
    date: datetime.date = Field(strict=False)


class Card(_Section):
    """One servable checkpoint.

    `weights_sha256` lists the files that must be in the folder that `weights` leads to, `tokenizer_sha256`
    is of the tokenizer.json that is served, `tokenizer_fingerprint` of what it makes of TOKENIZER_PROBE.
    `format`: a folder of Hugging Face, one GGUF file, or packed shards (packed.py) and all files beside.
    `chat_template` names models/templates/NAME.chat.jinja, for a base model that has none of its own.
    """

    name: _Name
    base: _Text
    licence: _Text
    licence_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    data: _Text
    notes: _Text | None = None
    weights: str
    weights_sha256: dict[str, _Sha256] = Field(min_length=1)
    format: Literal["hf", "gguf", "int8"]
    tokenizer_sha256: _Sha256
    tokenizer_fingerprint: _Sha256
    vocab_size: int = Field(ge=1)
    context_length: int = Field(ge=1)
    chat_template: _Name | None = None
    tasks: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], TaskSettings] = Field(
        min_length=1
    )
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    evaluation: tuple[Evaluation, ...] = Field(default=(), strict=False)
    git_sha: _Word

    @field_validator("weights")
    @classmethod
    def _weights_lead_somewhere(cls, value: str) -> str:
        try:
            parse(value)
        except StoreError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("weights_sha256")
    @classmethod
    def _file_names_stay_in_the_folder(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            for name in value:
                check_file_name(name, uri="the folder of the weights")
        except StoreError as error:
            raise ValueError(str(error)) from error
        return value

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
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CardError(f"{path}: there is no such card{_closest(path.stem, _stems(path.parent))}") from None
    except OSError as error:
        raise CardError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(f"{path}: not TOML: {error}") from error
    try:
        card = Card.model_validate(content)
    except ValidationError as error:
        raise CardError(f"{path}: {_explain(error)}") from None
    if card.name != path.stem:
        raise CardError(f"{path}: name: is {card.name!r}, but the file is called {path.stem!r}")
    return card


def load_cards(folder: Path = CARDS) -> dict[str, Card]:
    """Read every card of a folder, by name. Raises CardError."""
    if not folder.is_dir():
        raise CardError(f"{folder}: there is no such folder of cards")
    return {stem: load_card(folder / f"{stem}.toml") for stem in _stems(folder)}


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def _explain(error: ValidationError) -> str:
    """Put the first fault into words: its place with dots, then what is wrong."""
    faults = error.errors(include_url=False)
    # An unknown key is told first: it often is the reason why a required one is missing.
    first = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    place = [part for part in first["loc"] if part != "[key]"]
    match first["type"]:
        case "extra_forbidden":
            reason = "unknown key" + _closest(str(place[-1]), _known_keys(place))
        case "missing":
            reason = "is missing"
        case "value_error":
            reason = str(first["ctx"]["error"])
        case _:
            reason = first["msg"][0].lower() + first["msg"][1:] + _given(first["input"])
    dotted = ".".join(f'"{part}"' if "." in str(part) else str(part) for part in place)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{dotted + ': ' if dotted else ''}{reason}{more}"


def _known_keys(place: Sequence[int | str]) -> list[str]:
    sections: Mapping[Any, type[_Section]] = {"tasks": TaskSettings, "evaluation": Evaluation}
    section = sections.get(place[0], Card) if len(place) > 1 else Card
    return list(section.model_fields)


def _closest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else f", known are {', '.join(known)}" if known else ""


def _given(value: object) -> str:
    return f", not {value!r}" if isinstance(value, str | int | float) and len(repr(value)) <= 80 else ""
