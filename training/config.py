"""A run file's sections: frozen, every key known, read from TOML. An unknown key is an error."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from training.clip.settings import Clip, Photos
from training.errors import ConfigError
from training.optimization import Export, Tracking, Training
from training.section import Name, Section, Share

# Stages that a training may not be named after.
RESERVED: Final = frozenset({"corpus", "tokenizer", "embeddings", "packing", "dialogues", "export"})


class Source(Section):
    """Texts of one origin: files of one format, cleaned by one profile, counted as one domain of the mix.

    `text` names the field that holds the text; several are joined by a blank line, a list of strings
    by newlines. `made` instead of `path`: number of documents that the project makes up itself.
    """

    name: Name
    path: str | None = None  # relative to `data`, may be a glob
    made: Annotated[int, Field(ge=1)] | None = None
    format: Literal["jsonl", "parquet", "text"] = "jsonl"
    text: tuple[str, ...] = ("text",)
    documents: Literal["file", "paragraph", "line"] = "file"  # what one document of a plain text file is
    profile: str = "web"
    domain: Name
    size_gb: float | None = Field(
        default=None, gt=0, exclude=True
    )  # of text, for a plan where the files are not
    licence: str = "unknown"

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.path is None) == (self.made is None):
            raise ValueError(f"source {self.name}: give either `path` or `made`")
        return self


class Evaluation(Section):
    """A set whose questions must not be trained on: `text` names the question's field, then its choices'."""

    name: Name
    path: str
    text: tuple[str, ...] = ("question", "choices")


class Executor(Section):
    """Where the corpus is cleaned: here, on Slurm or on Ray. `tasks` shards, `workers` of them at a time.

    Only `tasks` shapes what is written; the rest may change between two tries of one corpus.
    """

    kind: Literal["local", "slurm", "ray"] = Field(default="local", exclude=True)
    tasks: Annotated[int, Field(ge=1)] = 2
    workers: int = Field(default=2, ge=1, exclude=True)
    partition: str | None = Field(default=None, exclude=True)  # of Slurm
    time: str = Field(default="24:00:00", exclude=True)
    memory_gb: int = Field(default=4, ge=1, exclude=True)  # a task
    setup: str | None = Field(default=None, exclude=True)  # command that enters the environment on a node


class Corpus(Section):
    """What is read, and how it is cleaned, freed of duplicates and evaluation sets, and mixed.

    `mix`: share of the characters per domain; an empty table keeps everything. `max_repeats`: how often a
    small domain's documents may come again to reach its share. `held_out`: share of documents that are kept
    for measuring. `profiles`: changes to those in cleaning/profiles.toml.
    """

    sources: tuple[Source, ...] = ()
    bad_lines: Literal["fail", "drop"] = "fail"
    personal_data: Literal["replace", "drop", "keep"] = "replace"
    near_duplicates: bool = True
    evaluations: tuple[Evaluation, ...] = ()
    mix: dict[str, Share] = Field(default_factory=dict)
    max_repeats: Annotated[float, Field(ge=1)] = 4.0
    held_out: Share = 0.01
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict)
    executor: Executor = Executor()

    @model_validator(mode="after")
    def _mix_names_domains(self) -> Corpus:
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have one name")
        if unknown := self.mix.keys() - {source.domain for source in self.sources}:
            raise ValueError(f"mix: no source has the domain {', '.join(sorted(unknown))}")
        if self.mix and abs(sum(self.mix.values()) - 1) > 1e-6:
            raise ValueError(f"mix: the shares add up to {sum(self.mix.values()):g}, not to 1")
        return self


class Tokenizer(Section):
    """A BPE vocabulary. `sample_mb`: text it is trained on; `upweight`: factor by domain.

    `grow_from`: bytes alone, or the base's vocabulary: its tokens that the corpus uses, then new merges.
    """

    grow_from: Literal["bytes", "base"] = "bytes"
    vocabulary: Annotated[int, Field(ge=512)] = 32_768
    sample_mb: Annotated[float, Field(gt=0)] = 100.0
    upweight: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    min_frequency: Annotated[int, Field(ge=1)] = 2
    chat_template: str = "chatml"
    compare_with: tuple[str, ...] = ("mistral-v0.1",)


class Shape(Section):
    """A decoder's dimensions, for planning a run whose base is not on this machine."""

    hidden: Annotated[int, Field(ge=1)]
    layers: Annotated[int, Field(ge=1)]
    heads: Annotated[int, Field(ge=1)]
    kv_heads: Annotated[int, Field(ge=1)]
    head_size: Annotated[int, Field(ge=1)]
    intermediate: Annotated[int, Field(ge=1)]
    vocabulary: Annotated[int, Field(ge=1)]
    tied: bool


class Base(Section):
    """The checkpoint that the run starts from: a folder, hf://…, card:NAME or tiny (training/bases.py)."""

    checkpoint: str
    shape: Shape | None = Field(default=None, exclude=True)  # where the checkpoint is not on this machine


class Embeddings(Section):
    """How the rows of a new vocabulary are made. `score_documents`: held out, a domain, old against new."""

    method: Literal["mean", "focus", "random", "global-mean"] = "mean"
    shard_mb: Annotated[int, Field(ge=1)] = 2_000
    score_documents: Annotated[int, Field(ge=0)] = 0
    focus_sample_mb: Annotated[float, Field(gt=0)] = 50.0
    focus_dimensions: Annotated[int, Field(ge=8)] = 256


class Dialogues(Section):
    """Dialogues to fine-tune on: JSONL with a list `messages` of role and content, or made up here.

    `prompt`: what made-up ones answer, a template of models/ as describe.v2. `adult`: what becomes of those
    with words of cleaning/adult.toml. `limit`: of so many lines at most, by chance.
    """

    name: Name
    path: str | None = None  # relative to `data`, may be a glob
    made: Annotated[int, Field(ge=1)] | None = None
    prompt: str | None = None
    adult: Literal["keep", "drop"] = "keep"
    limit: Annotated[int, Field(ge=1)] | None = None
    licence: str = "unknown"

    @model_validator(mode="after")
    def _one_origin(self) -> Dialogues:
        if (self.path is None) == (self.made is None):
            raise ValueError(f"dialogues {self.name}: give either `path` or `made`")
        if (self.made is None) != (self.prompt is None):
            raise ValueError(f"dialogues {self.name}: what is made up needs a `prompt`, as describe.v2")
        return self


class Compute(Section):
    """The machine that the training stages are planned for. `mfu`: share of the peak that is expected."""

    gpus: Annotated[int, Field(ge=0)] = 0
    gpu_memory_gb: Annotated[float, Field(gt=0)] = 80.0
    peak_tflops: Annotated[float, Field(gt=0)] = 312.0  # A100, bf16, dense
    mfu: Annotated[float, Field(gt=0, le=1)] = 0.4


class Run(Section):
    """A run file. Paths in it are relative to `data`; `data` is relative to the working folder."""

    name: Name
    seed: int = 0
    data: str = "."
    out: str = "out"
    corpus: Corpus = Corpus()
    base: Base | None = None
    tokenizer: Tokenizer | None = None
    embeddings: Embeddings | None = None
    dialogues: tuple[Dialogues, ...] = ()
    training: tuple[Training, ...] = ()
    export: Export | None = None
    tracking: Tracking = Tracking()
    compute: Compute = Compute()
    photos: tuple[Photos, ...] = ()
    clip: Clip | None = None

    @model_validator(mode="after")
    def _texts_or_photos(self) -> Run:
        if bool(self.photos) != (self.clip is not None):
            raise ValueError("[[photos]] and [clip] need each other")
        if bool(self.photos) == bool(self.corpus.sources):
            raise ValueError("a run is of texts ([[corpus.sources]]) or of photos ([[photos]])")
        names = [photos.name for photos in self.photos]
        if len(set(names)) != len(names):
            raise ValueError("two sets of photos have one name")
        return self

    @model_validator(mode="after")
    def _stages_follow(self) -> Run:
        if self.embeddings and not self.tokenizer:
            raise ValueError(
                "[embeddings] needs a [tokenizer]: without a new vocabulary there are no new rows"
            )
        if (self.embeddings or self.training) and not self.base:
            raise ValueError("[embeddings] and [[training]] need a [base] to start from")
        if self.tokenizer and self.tokenizer.grow_from == "base" and not self.base:
            raise ValueError('tokenizer: grow_from = "base" needs a [base]')
        if self.export and not self.training:
            raise ValueError("[export] needs a [[training]]: a base as it was has a card of its own")
        names = [training.name for training in self.training]
        if len(set(names)) != len(names) or set(names) & RESERVED:
            raise ValueError(f"training: names must differ, also from {', '.join(sorted(RESERVED))}")
        order = [training.vocabulary for training in self.training]
        if order != sorted(order):
            raise ValueError('training: what has vocabulary = "base" comes before what has the new one')
        if "base" in order and not self.embeddings:
            raise ValueError('training: vocabulary = "base" is for runs with [embeddings]; leave it out')
        for training in self.training:
            if training.data == "dialogues" and not self.dialogues:
                raise ValueError(f'training {training.name}: data = "dialogues" needs a [[dialogues]]')
            if unknown := training.mixture.keys() - {source.domain for source in self.corpus.sources}:
                raise ValueError(f"training {training.name}: mixture: no source has {', '.join(unknown)}")
        return self


def load_run(path: Path | str) -> Run:
    """Read a run file, and the one beside it that it `extends`, if it does.

    A table adds to the table of that name and a value replaces it, a list too.
    Raises ConfigError with the file, the key and what is wrong with it.
    """
    found = _read(Path(path))
    if isinstance(other := found.pop("extends", None), str):
        extended = _read(Path(path).parent / other)
        if "extends" in extended:
            raise ConfigError(f"{path}: extends: {other} itself extends a file; name that one")
        found = _merged(extended, found)
    elif other is not None:
        raise ConfigError(f"{path}: extends: expected the name of a run file beside this one")
    try:
        return Run.model_validate_json(json.dumps(found))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {where}: {first['msg']} ({error.error_count()} in all)") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merged(base[key], own[key]) for key in own if _are_tables(base.get(key), own[key])}
    return {**base, **own, **both}


def _are_tables(one: object, other: object) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)
