"""What all TOML files of the contract share: strict tables, and faults told in one line with their place."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from models.errors import CardError

__all__ = ["Name", "Section", "Sha256", "Text", "Url", "Word", "closest", "read", "stems"]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Text = Annotated[str, StringConstraints(pattern=r"\S")]
Word = Annotated[str, StringConstraints(pattern=r"^\S+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]


class Section(BaseModel):
    """A table of a file: nothing unknown, nothing changed later, no "1" for 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


_Read = TypeVar("_Read", bound=Section)


def read(path: Path, schema: type[_Read], *, what: str = "card") -> _Read:
    """Read one TOML file. Raises CardError, which names what is closest to a name that is not there."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CardError(f"{path}: there is no such {what}{closest(path.stem, stems(path.parent))}") from None
    except OSError as error:
        raise CardError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(f"{path}: not TOML: {error}") from error
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise CardError(f"{path}: {_explain(error, schema)}") from None


def stems(folder: Path) -> list[str]:
    """Return the names of a folder's TOML files."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def closest(word: str, known: Sequence[str]) -> str:
    """Return the end of a message: what was probably meant, or what there is."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else f", known are {', '.join(known)}" if known else ""


def _explain(error: ValidationError, schema: type[Section]) -> str:
    """Put the first fault into words: its place with dots, then what is wrong."""
    faults = error.errors(include_url=False)
    # An unknown key is told first: it often is the reason why a required one is missing.
    first = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    place = [part for part in first["loc"] if part != "[key]"]
    match first["type"]:
        case "extra_forbidden":
            reason = "unknown key" + closest(str(place[-1]), _known_keys(schema, place))
        case "missing":
            reason = "is missing"
        case "value_error":
            reason = str(first["ctx"]["error"])
        case _:
            reason = first["msg"][0].lower() + first["msg"][1:] + _given(first["input"])
    dotted = ".".join(f'"{part}"' if "." in str(part) else str(part) for part in place)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{dotted + ': ' if dotted else ''}{reason}{more}"


def _known_keys(schema: type[Section], place: Sequence[int | str]) -> list[str]:
    """Return the keys of the table in which an unknown one stands."""
    for part in place[:-1]:
        if part in schema.model_fields:
            schema = next(_sections(schema.model_fields[str(part)].annotation), schema)
    return list(schema.model_fields)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """Yield the tables that a type is made of: dict[str, TaskSettings] holds TaskSettings."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _given(value: object) -> str:
    return f", not {value!r}" if isinstance(value, str | int | float) and len(repr(value)) <= 80 else ""
