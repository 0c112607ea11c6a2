"""The goods and services of listings: training/catalogue/*.toml, read and held to one schema."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import ConfigError

CATALOGUE: Final = Path(__file__).parents[1] / "catalogue"
COMMON: Final = "common"
CASES: Final = ("nomn", "gent", "datv", "accs", "ablt", "loct")
_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_PLACES: Final = frozenset(
    [f"{name}{case}" for name in ("value", "thing") for case in ("", *(f":{case}" for case in CASES))]
    + ["value:like"]
)
Share = Annotated[float, Field(ge=0, le=1)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Special(_Frozen):
    """How one value of a parameter is told otherwise than the rest: an adjective, or clauses of its own."""

    adjective: str = ""
    clauses: Names = ()
    after: Names = ()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        _check_places((*self.clauses, *self.after))
        return self


class Param(_Frozen):
    """One parameter: what it is called, its values, and the ways to tell it. `range` is low, high, step.

    `path`: the values are shelves of the form's tree («Посуда»), which a description leaves out.
    """

    labels: Annotated[Names, Field(min_length=1)]
    values: Names = ()
    form: Names = ()
    range: tuple[float, float, float] | None = None
    unit: str = ""
    kind: Literal["adjective"] | None = None
    path: bool = False
    share: Share = 0.5
    clauses: Names = ()
    after: Names = ()
    told: Names = ()
    special: Mapping[str, Special] = {}

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if bool(self.values) == (self.range is not None):
            raise ValueError("needs either values or a range")
        if self.form and len(self.form) != len(self.values):
            raise ValueError(f"form has {len(self.form)} entries for {len(self.values)} values")
        if self.range and (self.range[0] > self.range[1] or self.range[2] <= 0):
            raise ValueError("range is low, high, step")
        if strange := set(self.special) - set(self.values):
            raise ValueError(f"special values that values lack: {', '.join(sorted(strange))}")
        _check_places((*self.clauses, *self.after, *self.told))
        return self


class Thing(_Frozen):
    """One kind of goods or one service; see the schema's words in training/catalogue/common.toml."""

    name: str
    head: str
    plural: bool = False
    aliases: Names = ()
    weight: float = Field(default=1, gt=0)
    price: tuple[float, float]
    params: Names = ()
    defects: Names = ()
    kit: Names = ()
    models: Mapping[str, Names] = {}

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.head not in self.name.split():
            raise ValueError(f"head «{self.head}» does not stand in name «{self.name}»")
        if not 0 <= self.price[0] <= self.price[1]:
            raise ValueError("price is low, high")
        return self


class Series(_Frozen):
    """Names that a small maker invents."""

    names: Names


class Brands(_Frozen):
    """How sellers spell brands and lines in Cyrillic."""

    spoken: Mapping[str, Names] = {}


class Category(_Frozen):
    """One file of the catalogue; `param` holds the common parameters too once it is read by `load`."""

    section: Names = ()
    deal: Literal["sale", "service", "rent", "work"] = "sale"
    thing: tuple[Thing, ...] = ()
    param: Mapping[str, Param] = {}
    series: Series | None = None
    brands: Brands = Brands()


@cache
def load(folder: Path = CATALOGUE) -> tuple[Category, ...]:
    """Read every category of the folder, in the order of the file names.

    Raises ConfigError, which names the file and the thing or parameter that is wrong.
    """
    common = _read(folder / f"{COMMON}.toml").param
    paths = sorted(path for path in folder.glob("*.toml") if path.stem != COMMON)
    return tuple(_whole(_read(path), common, path) for path in paths)


def _whole(category: Category, common: Mapping[str, Param], path: Path) -> Category:
    known = {**common, **category.param}
    for thing in category.thing:
        if strange := sorted(set(thing.params) - set(known)):
            raise ConfigError(f"{path.name}: {thing.name}: unknown params: {', '.join(strange)}")
    if not category.thing or not category.section:
        raise ConfigError(f"{path.name}: no thing or no section")
    return category.model_copy(update={"param": known})


def _read(path: Path) -> Category:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Category.model_validate(data)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path.name}: {_where(first['loc'], data)}: {first['msg']}") from error


def _where(location: tuple[int | str, ...], data: Mapping[str, Any]) -> str:
    """Name the thing by its name and not by its number."""
    if location[:1] == ("thing",) and len(location) > 1:
        entry = data["thing"][location[1]]
        name = entry.get("name", f"thing {location[1]}") if isinstance(entry, dict) else str(location[1])
        return ".".join([name, *map(str, location[2:])])
    return ".".join(map(str, location))


def _check_places(templates: Names) -> None:
    for template in templates:
        if strange := set(_PLACE.findall(template)) - _PLACES:
            raise ValueError(f"«{template}»: unknown places: {', '.join(sorted(strange))}")
