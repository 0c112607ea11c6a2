"""Which model versions are live: one TOML file, checked before anything starts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator


class DeploymentError(ValueError):
    """The file cannot be used; the message is one line that says where and why."""


def _known_engine(url: str) -> str:
    if url == "local" or url.startswith(("http://", "https://", "fake://")):
        return url
    raise ValueError(f'"{url}" is neither "local" nor an http://, https:// or fake:// address')


class LiveVersion(BaseModel):
    """One version: its card (a name or a path) and the replicas that serve it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    card: str
    engines: Annotated[tuple[Annotated[str, AfterValidator(_known_engine)], ...], Field(min_length=1)]


class Deployment(BaseModel):
    """All live versions; `default` answers requests that pin none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: str
    versions: Annotated[dict[str, LiveVersion], Field(min_length=1)]

    @model_validator(mode="after")
    def _default_is_live(self) -> Deployment:
        if self.default not in self.versions:
            raise ValueError(f'default = "{self.default}" is not among the versions {sorted(self.versions)}')
        for name, version in self.versions.items():
            if len(set(version.engines)) < len(version.engines):
                raise ValueError(f"versions.{name}: the same engine stands twice")
        return self


def load_deployment(path: Path) -> Deployment:
    """Read and check the file.

    Raises:
        DeploymentError: missing, no TOML, an unknown key, an unknown default.

    """
    try:
        return Deployment.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DeploymentError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeploymentError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise DeploymentError(f"{path}: {place}: {first['msg']}") from None
