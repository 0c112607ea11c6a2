"""Cards of captioning models, and the banks of Russian phrases that their photos are ranked against."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from models.card import CARDS, Digests, Evaluation, Weights
from models.errors import CardError
from models.locations import Packaged, parse
from models.section import Name, Section, Text, Url, Word, read

__all__ = ["BANKS", "EYES", "Bank", "BankName", "BankSettings", "Banks", "CaptionCard", "Folder", "Item"]
__all__ += ["load_banks", "load_caption_card"]

BANKS: Final = Path(__file__).parent / "banks"
EYES: Final = CARDS / "eyes"
CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = "open_clip_model.safetensors"

BankName = Literal["category", "kind", "colour", "pattern", "material", "condition", "view"]
_Template = Annotated[str, StringConstraints(pattern=r"^[^{}]*\{phrase\}[^{}]*$")]
_Texts = Annotated[tuple[Text, ...], Field(strict=False)]


def _is_a_folder(weights: str) -> str:
    if isinstance(parse(weights), Packaged):
        raise ValueError(f"{weights} is a single file; open_clip reads a folder (file:// or hf://)")  # noqa: TRY004
    return weights


def _are_of_open_clip(digests: dict[str, str]) -> dict[str, str]:
    if missing := [name for name in (CONFIG, WEIGHTS) if name not in digests]:
        raise ValueError(f"{missing[0]} is not listed")
    return digests


Folder = Annotated[Weights, AfterValidator(_is_a_folder)]


class Item(Section):
    """One label of a bank; its name is its key.

    `phrases` are what the model compares a photo with. `caption` is how a caption says it (default: the
    name), `head` the noun that adjectives agree with, or another one of its gender, where the caption's
    first word will not do. `also` are a seller's words for the same, `near` the labels so close that
    neither contradicts the other.
    """

    phrases: _Texts = Field(min_length=1)
    caption: str | None = None
    head: Word | None = None
    category: Text | None = None
    also: _Texts = ()
    near: _Texts = ()


class Bank(Section):
    """Labels of which a photo has at most one.

    `form` is the place in a caption: noun «толстовка», adjective «синяя», after «в полоску», apart «вид
    сзади». `params` are the names of the seller's parameters that say the same thing.
    """

    form: Literal["noun", "adjective", "after", "apart"]
    templates: Annotated[tuple[_Template, ...], Field(strict=False)] = Field(min_length=1)
    params: _Texts = ()
    items: dict[Text, Item] = Field(min_length=2)

    @model_validator(mode="after")
    def _near_labels_are_of_this_bank(self) -> Self:
        for name, item in self.items.items():
            if unknown := set(item.near) - self.items.keys():
                raise ValueError(f"items.{name}.near: there is no {min(unknown)} in this bank")
        return self

    def are_near(self, one: str, other: str) -> bool:
        """Tell whether two labels are so close that neither contradicts the other; either may say so."""
        return one == other or other in self.items[one].near or one in self.items[other].near

    def texts(self) -> dict[str, tuple[str, ...]]:
        """Return the texts of each label, every phrase in every template."""
        return {
            name: tuple(
                text.replace("{phrase}", phrase) for text in self.templates for phrase in item.phrases
            )
            for name, item in self.items.items()
        }


class Banks(Section):
    """A file of models/banks. `elsewhere`: words of sellers' categories that no label belongs to."""

    elsewhere: _Texts = ()
    banks: dict[BankName, Bank] = Field(min_length=1)

    @model_validator(mode="after")
    def _categories_are_labels(self) -> Self:
        known = self.banks["category"].items.keys() if "category" in self.banks else set()
        for bank_name, bank in self.banks.items():
            for name, item in bank.items.items():
                if item.category is not None and item.category not in known:
                    place = f"banks.{bank_name}.items.{name}.category"
                    raise ValueError(f"{place}: there is no {item.category} in the bank of categories")
        return self


class BankSettings(Section):
    """How sure is sure enough, from calibration on held-out photos.

    A label's score is softmax(cosine / `temperature`) over the bank's `labels` (those that the model was
    taught; default: all); below `threshold`, or where the best cosine is below `cosine`, the bank abstains.
    """

    temperature: float = Field(gt=0, le=1)
    threshold: float = Field(ge=0, le=1)
    cosine: float = Field(default=-1.0, ge=-1, le=1)
    labels: Annotated[tuple[Text, ...], Field(strict=False, min_length=2)] | None = None


class CaptionCard(Section):
    """One captioning model: a folder in open_clip's layout, and how far it may be believed.

    `weights_sha256` lists every file that open_clip reads, open_clip_config.json and
    open_clip_model.safetensors among them. `banks` names models/banks/NAME.toml; a bank without
    `calibration` abstains always: nobody has measured what its scores mean.
    """

    name: Name
    base: Text
    licence: Text
    licence_url: Url | None = None
    data: Text
    notes: Text | None = None
    weights: Folder
    weights_sha256: Annotated[Digests, AfterValidator(_are_of_open_clip)]
    banks: Name
    calibration: dict[BankName, BankSettings] = Field(min_length=1)
    evaluation: tuple[Evaluation, ...] = Field(default=(), strict=False)
    git_sha: Word


def load_caption_card(name_or_path: str | Path) -> CaptionCard:
    """Read one card and check it against its banks; a bare name is models/cards/eyes/NAME.toml.

    Raises CardError.
    """
    path = _path(name_or_path, EYES)
    card = read(path, CaptionCard)
    if card.name != path.stem:
        raise CardError(f"{path}: name: is {card.name!r}, but the file is called {path.stem!r}")
    banks = load_banks(card.banks)
    for name, settings in card.calibration.items():
        if name not in banks.banks:
            raise CardError(f"{path}: calibration.{name}: there is no such bank in {card.banks}")
        if unknown := set(settings.labels or ()) - banks.banks[name].items.keys():
            raise CardError(f"{path}: calibration.{name}.labels: {card.banks} has no {min(unknown)}")
    return card


def load_banks(name_or_path: str | Path) -> Banks:
    """Read one file of banks; a bare name is models/banks/NAME.toml. Raises CardError."""
    path = _path(name_or_path, BANKS)
    banks = read(path, Banks, what="file of banks")
    for name, bank in banks.banks.items():
        if double := _doubles(text for texts in bank.texts().values() for text in dict.fromkeys(texts)):
            raise CardError(f"{path}: banks.{name}: two labels have the text {double!r}")
    return banks


def _path(name_or_path: str | Path, folder: Path) -> Path:
    bare = isinstance(name_or_path, str) and re.fullmatch(r"[^/\\]+(?<!\.toml)", name_or_path)
    return folder / f"{name_or_path}.toml" if bare else Path(name_or_path)


def _doubles(texts: Iterable[str]) -> str | None:
    """Return a text that comes twice: no photo could tell its two labels apart."""
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            return text
        seen.add(text)
    return None
