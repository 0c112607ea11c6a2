"""The sections of a run file that trains a captioning model: photos, and how the model is fitted to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.eyes import Folder
from training.section import Name, Section, Share

_Count = Annotated[int, Field(ge=1)]
_Positive = Annotated[float, Field(gt=0)]
Role = Literal["taught", "tuned", "unknown"]


class Photos(Section):
    """A tar of photos and gzipped JSONL rows with `file` and `label`. `kinds`: the set's label -> the bank's.

    Rows whose label `kinds` does not have are left out. `tuned` are labels that are never learnt, but shown
    to the calibration as what has to be abstained from; `unknown` only to the measuring, for the same.
    """

    name: Name
    archive: str  # relative to `data`
    rows: str
    kinds: Annotated[dict[str, str], Field(min_length=1)]
    tuned: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    licence: str
    source: str
    count: int | None = Field(default=None, ge=1, exclude=True)  # for a plan where the files are not

    @model_validator(mode="after")
    def _names_are_labels(self) -> Photos:
        held_out = [*self.tuned, *self.unknown]
        for name in held_out:
            if name not in self.kinds:
                raise ValueError(f"photos {self.name}: kinds has no {name}")
        if len(set(held_out)) < len(held_out):
            raise ValueError(f"photos {self.name}: a label is both tuned and unknown")
        return self

    def role(self, label: str) -> Role:
        """Tell what a label of the set is for."""
        return "tuned" if label in self.tuned else "unknown" if label in self.unknown else "taught"


class ImageTower(Section):
    """EfficientNet-Lite0 with its ImageNet weights, all locked but the last `unlocked` of its seven stages.

    `views`: random crops of a training photo, computed once as far as the tower is locked. A crop has from
    `smallest_crop` of the photo's area on.
    """

    image_size: Annotated[int, Field(ge=32, multiple_of=32)] = 256
    unlocked: Annotated[int, Field(ge=0, le=6)] = 2
    views: _Count = 6
    smallest_crop: Annotated[float, Field(gt=0, le=1)] = 0.5


class TextTower(Section):
    """A small Transformer over tokens of captions. `captions` of them at most train the tokenizer."""

    vocabulary: Annotated[int, Field(ge=300)] = 2_000
    context_length: Annotated[int, Field(ge=4)] = 24
    width: _Count = 192
    heads: _Count = 4
    layers: _Count = 3
    captions: _Count = 50_000

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> TextTower:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) is no multiple of heads ({self.heads})")
        return self


class Fitting(Section):
    """Contrastive training. `trunk_rate`: of the unlocked stages, `learning_rate` of all that is new."""

    embedding: _Count = 256
    epochs: _Count = 12
    batch: Annotated[int, Field(ge=2)] = 128
    learning_rate: _Positive = 1e-3
    trunk_rate: _Positive = 2e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warm_up: Share = 0.1
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2


class Handover(Section):
    """What ships, and how sure it has to be: `precision` where it speaks, `abstained` of unknown things."""

    name: Name
    base: str
    licence: str
    licence_url: str | None = None
    data: str
    notes: str | None = None
    precision: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    abstained: Annotated[float, Field(ge=0, lt=1)] = 0.9


class Pretrained(Section):
    """A model of open_clip that is taken as it is: its folder as `hf://org/name@revision` or `file://`."""

    weights: Folder


class Clip(Section):
    """A captioning model. `banks`: the file of models/banks whose labels and phrases it learns.

    With `pretrained` nothing is learnt: image, text and fitting are not used, the model's sureness is
    calibrated and measured on the same photos that are held out of a training.
    """

    banks: Name = "goods"
    pretrained: Pretrained | None = None
    image: ImageTower = ImageTower()
    text: TextTower = TextTower()
    fitting: Fitting = Fitting()
    export: Handover
