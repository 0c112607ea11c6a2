"""How large a model is, what a GPU must hold of it, how long a stage takes: formulas, no torch.

Parameters are those of Llama, Mistral, Gemma and Qwen decoders with gated MLPs. FLOPs per token: 2 a
parameter forwards, 4 backwards (Kaplan et al. 2020, arXiv 2001.08361), 2 of the 4 where only embeddings are
trained, plus causal attention, 6 * layers * heads * head_size * sequence for both passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from training.config import Compute, Shape, Training

GB: Final = 1e9
_MASTER, _GRADIENT, _ADAM = 4, 4, 8  # bytes a trained parameter: float32 weights, gradients, two moments
_COMPUTE: Final = 2  # bfloat16
_LAYER_ACTIVATIONS: Final = 34  # bytes * hidden a token inside one recomputed layer (Korthikanti 2022, eq. 2)
DAY_S: Final = 86_400


@dataclass(frozen=True)
class Memory:
    """Gigabytes on one device, by part, with one sequence in flight and activations recomputed."""

    weights: float
    gradients: float
    optimizer: float
    gathered: float
    activations: float

    @property
    def total(self) -> float:
        """Return the sum of the parts."""
        return self.weights + self.gradients + self.optimizer + self.gathered + self.activations


def embedding_parameters(shape: Shape, *, vocabulary: int) -> int:
    """Return the parameters of input embeddings and head."""
    return vocabulary * shape.hidden * (1 if shape.tied else 2)


def layer_parameters(shape: Shape) -> int:
    """Return the parameters of one decoder layer: attention, gated MLP, two norms."""
    attention = shape.hidden * shape.head_size * (2 * shape.heads + 2 * shape.kv_heads)
    return attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden


def parameters(shape: Shape, *, vocabulary: int) -> int:
    """Return the parameters of the model with a vocabulary of this size."""
    body = shape.layers * layer_parameters(shape) + shape.hidden
    return body + embedding_parameters(shape, vocabulary=vocabulary)


def memory(shape: Shape, training: Training, compute: Compute, *, vocabulary: int) -> Memory:
    """Return what one device holds when parameters, gradients and moments are sharded over all (FSDP2)."""
    devices = max(1, compute.gpus)
    everything = parameters(shape, vocabulary=vocabulary)
    embeddings = embedding_parameters(shape, vocabulary=vocabulary)
    trained = everything if training.trainable == "all" else embeddings
    # FSDP gathers one layer while the next is on its way, and the embeddings or the head.
    gathered = 2 * layer_parameters(shape) + vocabulary * shape.hidden if devices > 1 else everything
    tokens = training.sequence_length
    kept = shape.layers * tokens * shape.hidden * _COMPUTE
    recomputed = _LAYER_ACTIVATIONS * tokens * shape.hidden
    logits = tokens * vocabulary * (_COMPUTE + 4)
    return Memory(
        weights=everything * _MASTER / devices / GB,
        gradients=trained * _GRADIENT / devices / GB,
        optimizer=trained * _ADAM / devices / GB,
        gathered=gathered * _COMPUTE / GB,
        activations=(kept + recomputed + logits) / GB,
    )


def seconds(shape: Shape, training: Training, compute: Compute, *, vocabulary: int) -> float:
    """Return how long a stage takes at the stated share of the peak."""
    matrices = parameters(shape, vocabulary=vocabulary) - (0 if shape.tied else vocabulary * shape.hidden)
    passes = 6 if training.trainable == "all" else 4
    attention = 6 * shape.layers * shape.heads * shape.head_size * training.sequence_length
    flops = (passes * matrices + attention) * training.tokens
    return flops / (max(1, compute.gpus) * compute.peak_tflops * 1e12 * compute.mfu)
