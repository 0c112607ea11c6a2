"""What one device holds in a step of the loop, and a checkpoint on disk: formulas of what the loop does."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final

from training.arithmetic import (
    GB,
    embedding_parameters,
    layer_parameters,
    parameters,
    trained_parameters,
)
from training.config import Compute, Shape
from training.optimization import Training

_FLOAT32: Final = 4
_BF16: Final = 2
_MOMENTS: Final = 2  # of AdamW, float32 each
_CHUNK: Final = 512  # positions whose logits exist at once (trainer/head.py)


@dataclass(frozen=True)
class Memory:
    """Gigabytes on one device by part. `gathered`: of weights that are whole only while they are used."""

    weights: float
    gradients: float
    optimizer: float
    gathered: float
    activations: float
    loss: float

    @property
    def total(self) -> float:
        """Return the sum of the parts."""
        return float(sum(astuple(self)))


def checkpoint_bytes(shape: Shape, training: Training, *, vocabulary: int) -> int:
    """Return the size of a saved state: float32 weight and moments, 12 bytes a trained parameter."""
    trained = trained_parameters(shape, training.trainable, vocabulary=vocabulary)
    return trained * _FLOAT32 * (1 + _MOMENTS)


def memory(shape: Shape, training: Training, compute: Compute, *, vocabulary: int) -> Memory:
    """Return what one device holds at most in a step.

    Alone it keeps all weights in the compute type and the trained ones again in float32. Several share them,
    gradients and moments in float32 (FSDP2) and gather two layers, one ahead, beside embeddings and head.
    """
    devices, width = max(1, compute.gpus), _BF16 if training.precision == "bf16" else _FLOAT32
    everything = parameters(shape, vocabulary=vocabulary)
    trained = trained_parameters(shape, training.trainable, vocabulary=vocabulary)
    masters = trained * _FLOAT32 if training.precision == "bf16" else 0
    ends = embedding_parameters(shape, vocabulary=vocabulary)
    tokens, matrix = training.micro_rows * training.sequence_length, vocabulary * shape.hidden
    whole = layer_activations(shape, training, on_gpu=compute.gpus > 0)
    kept = shape.layers * shape.hidden * width + whole if training.recompute else shape.layers * whole
    # Gradients of a layer and of embeddings and head, whole before they are added up; the head's in float32.
    ready = layer_parameters(shape) * (width if training.trainable == "all" else 0) + ends * width
    return Memory(
        weights=(everything * _FLOAT32 if devices > 1 else everything * width + masters) / devices / GB,
        gradients=(trained * _FLOAT32 / devices + ready) / GB,
        optimizer=trained * _FLOAT32 * _MOMENTS / devices / GB,
        gathered=(2 * layer_parameters(shape) + ends) * width / GB if devices > 1 else 0.0,
        activations=tokens * (kept + shape.hidden * (_FLOAT32 + 3 * width)) / GB,  # the last norm, the loss
        loss=(matrix * _FLOAT32 + _CHUNK * vocabulary * (2 * _FLOAT32 + width)) / GB,
    )


def layer_activations(shape: Shape, training: Training, *, on_gpu: bool) -> int:
    """Return the bytes that one layer keeps a token for the way back.

    As counted with saved_tensors_hooks on transformers 5.19's Llama in bfloat16: a norm keeps its input in
    float32 and twice its output, attention queries, keys, values and output (on a CPU for each query head,
    and the output twice), the MLP four times its width; before frozen matrices the inputs are not kept.
    Gemma 3 with its six norms keeps 1.5 times as much.
    """
    width = _BF16 if training.precision == "bf16" else _FLOAT32
    heads, inputs = shape.heads + shape.kv_heads, training.trainable == "all"
    norms = 2 * shape.hidden * (_FLOAT32 + 2 * width * inputs)
    attention = shape.head_size * (2 * heads if on_gpu else (4 + inputs) * shape.heads)
    return norms + width * (attention + (3 + inputs) * shape.intermediate)
