"""Everything a person on call may turn, read from the environment (prefix `LLM_`) once, in `__main__`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.store import default_cache
from service.fetching import Fetcher

HERE = Path(__file__).parent


class Settings(BaseSettings):
    """Limits and places; times in seconds, sizes in bytes; places in flight and queue are per version."""

    model_config = SettingsConfigDict(env_prefix="LLM_", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    deployment: Path = HERE / "deployment.toml"
    cache: Path = Field(default_factory=default_cache)
    answers: Path = Field(
        default=Path("answers.sqlite"), description="in the cache unless absolute; :memory: keeps no file"
    )
    answers_max_rows: int = Field(default=5_000_000, ge=1, description="320 bytes each; the oldest go")
    answers_max_age_days: float = Field(default=90.0, gt=0)

    max_in_flight: int = Field(default=32, ge=1, description="requests at the engines at once")
    max_queue: int = Field(default=64, ge=0, description="requests that may wait; beyond: 429")
    max_parallel: int = Field(default=8, ge=1, description="questions of one request at the engine at once")
    default_deadline_s: float = Field(default=60.0, gt=0)
    max_deadline_s: float = Field(default=300.0, gt=0)
    drain_grace_s: float = Field(default=60.0, ge=0, description="after SIGTERM, for what already runs")
    max_body_bytes: int = Field(default=20 * 2**20, ge=1024, description="ten photos of 1.5 MB in base64 fit")

    photo_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="from which photos are fetched, by commas; *.example.ru: all names below"
    )
    photo_max_bytes: int = Field(default=10 * 2**20, ge=1024)
    photo_timeout_s: float = Field(default=10.0, gt=0, description="of fetching a photo, and of decoding it")
    photo_workers: int = Field(
        default=2, ge=1, description="processes that decode; 30 MB each, more while busy"
    )

    eyes: str = Field(
        default="clip-small-ru", description="card of the captioning model (models/cards/eyes); empty: none"
    )
    eyes_device: str = "cpu"
    eyes_threads: int = Field(default=2, ge=1)
    eyes_timeout_s: float = Field(default=10.0, gt=0, description="of looking at a request's photos")

    canary_interval_s: float = Field(default=10.0, gt=0, description="between one-token probes")
    ready_max_age_s: float = Field(default=45.0, gt=0, description="/readyz: how old the last answer may be")
    start_timeout_s: float = Field(default=900.0, gt=0, description="for all engines to come up")

    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("photo_hosts", mode="before")
    @classmethod
    def _listed(cls, told: object) -> object:
        """Read «img.example.ru, *.cdn.example.ru» as the environment has it."""
        return [host for part in told.split(",") if (host := part.strip())] if isinstance(told, str) else told

    @field_validator("photo_hosts")
    @classmethod
    def _names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            try:
                Fetcher([host])
            except ValueError:
                raise ValueError(f"{host} is no host's name; give img.example.ru or *.example.ru") from None
        return hosts

    @property
    def answers_path(self) -> Path | None:
        """Where answers are kept; None: in memory."""
        return None if str(self.answers) == ":memory:" else self.cache / self.answers
