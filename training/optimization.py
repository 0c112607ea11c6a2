"""A run file's sections for the loop: what is trained and how, what a spike is, what is kept and exported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.section import Name, Section, Share

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
Trainable = Literal["embeddings", "new-embeddings", "all"]


class Guard(Section):
    """When a step counts as a spike, and what follows.

    Bounds are median + `sigmas` robust standard deviations (1.4826 * MAD) of the last `window` accepted
    steps, drawn once `warm_up` of them are there; NaN and infinity are spikes from step 0 on. A spike rewinds
    to the newest checkpoint at least `margin` steps older, and skips the data from `skip_before` steps before
    it to `skip_after` steps behind it. Another spike within `near` steps of data behind that skips twice as
    far, up to `tries` times in one place; then the run ends. `passes_below`: a loss no more than so many nats
    above the median passes, whatever the bound.
    """

    action: Literal["rewind", "log", "off"] = "rewind"
    window: _Count = 128
    warm_up: _Count = 20
    loss_sigmas: _Positive = 8.0
    gradient_sigmas: _Positive = 16.0
    passes_below: Annotated[float, Field(ge=0)] = 0.0
    margin: Annotated[int, Field(ge=0)] = 0
    skip_before: Annotated[int, Field(ge=0)] = 0
    skip_after: Annotated[int, Field(ge=0)] = 0
    near: _Count = 64
    tries: _Count = 4


class Checkpoints(Section):
    """How often the state is saved, what is kept: the last `keep` and each multiple of `milestone` steps."""

    every_steps: _Count = 500
    keep: _Count = 2
    milestone: Annotated[int, Field(ge=0)] = 0
    background: bool = True  # written while the next steps run


class Training(Section):
    """A stage of the loop: what is trained, on what, how many tokens, how fast.

    `tokens`: to be seen in all, in batches of `batch_tokens`, rows of `sequence_length`. `vocabulary`: "base"
    trains before the swap. `warm_up` and `decay` are shares of the steps: the rate rises linearly, then falls
    as a cosine to `final_rate` of its peak, or stays (wsd) and falls linearly over the last `decay`.
    `mixture`: share of the rows by domain; an empty table takes the corpus as it was mixed. `trainable`:
    "new-embeddings" are the rows that the swap made, right after it: those that it copied stay as they are.
    """

    name: Name
    trainable: Trainable
    data: Literal["documents", "dialogues"] = "documents"
    vocabulary: Literal["base", "new"] = "new"
    tokens: _Count
    batch_tokens: _Count = 4_194_304  # 2**22
    sequence_length: Annotated[int, Field(ge=16)] = 4_096
    mixture: dict[str, Share] = Field(default_factory=dict)
    learning_rate: _Positive
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    warm_up: Share = 0.01
    decay: Share = 0.2
    final_rate: Share = 0.1
    betas: tuple[Share, Share] = (0.9, 0.95)
    epsilon: _Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.1  # of matrices; norms, biases and embeddings have none
    clip: _Positive = 1.0
    precision: Literal["bf16", "float32"] = "bf16"
    micro_rows: int = Field(default=1, ge=1, exclude=True)  # rows a process takes at once
    recompute: bool = Field(
        default=False, exclude=True
    )  # activation checkpointing: less memory, a third more time
    compile: bool = Field(default=False, exclude=True)
    guard: Guard = Field(default=Guard(), exclude=True)  # SpikeError advises to change it and go on
    checkpoints: Checkpoints = Field(default=Checkpoints(), exclude=True)

    @model_validator(mode="after")
    def _batches_are_whole(self) -> Training:
        if self.batch_tokens % self.sequence_length:
            raise ValueError(
                f"training {self.name}: batch_tokens ({self.batch_tokens:,}) is no multiple of "
                f"sequence_length ({self.sequence_length:,})"
            )
        if self.mixture and abs(sum(self.mixture.values()) - 1) > 1e-6:
            raise ValueError(f"training {self.name}: the shares of mixture do not add up to 1")
        if self.schedule == "wsd" and self.warm_up + self.decay > 1:
            raise ValueError(f"training {self.name}: warm_up and decay together are more than the whole")
        return self

    @property
    def batch_rows(self) -> int:
        """Return the rows of one optimizer step, over all processes."""
        return self.batch_tokens // self.sequence_length

    @property
    def num_steps(self) -> int:
        """Return the optimizer steps of the stage."""
        return -(-self.tokens // self.batch_tokens)


class Tracking(Section):
    """Where figures go beside the log in JSON lines and the progress line."""

    tensorboard: bool = Field(default=True, exclude=True)
    wandb: str | None = Field(default=None, exclude=True)  # the project; needs the package wandb
    every_steps: int = Field(default=1, ge=1, exclude=True)


class Export(Section):
    """The model that the run hands to the service, and what its card says of it.

    `prompts`: template version by task, as in models/templates. `check_engine`: greedy answers of the real
    vLLM must be those of transformers. `notice`: what the base's licence wants said beside the weights, as
    the file NOTICE. `packed_bits`: also leave packed/, small enough to ship in models/: 8 bits a weight, or 4
    in the layers and 8 in the embedding; no file of it over `packed_shard_mb`.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    licence: str
    licence_url: str | None = None
    data: str
    notes: str | None = None
    notice: str | None = None
    prompts: dict[str, str] = Field(default_factory=dict)
    context_length: int | None = None
    shard_mb: _Count = 5_000
    packed_bits: Literal[4, 8] | None = None
    packed_shard_mb: _Count = 45
    check_engine: bool = True
