"""What all tables of a run file share: nothing unknown, nothing changed later, no "1" for 1."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of a run file. A field with `exclude` changes nothing that a stage makes, so no key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
