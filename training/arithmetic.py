"""How large a model is and how long a stage takes: formulas, no torch.

Parameters are those of Llama, Mistral, Gemma and Qwen decoders with gated MLPs.
"""

from __future__ import annotations

from typing import Final

from training.config import Compute, Shape
from training.optimization import Trainable, Training

GB: Final = 1e9
DAY_S: Final = 86_400


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


def trained_parameters(shape: Shape, trainable: Trainable, *, vocabulary: int) -> int:
    """Return the parameters that a stage changes."""
    count = parameters if trainable == "all" else embedding_parameters
    return count(shape, vocabulary=vocabulary)


def flops_per_token(shape: Shape, *, trainable: Trainable, sequence_length: int, vocabulary: int) -> float:
    """Return the useful FLOPs of a token forwards and backwards: what MFU counts (PaLM, arXiv 2204.02311, B).

    Forwards 2 a weight of a matrix, backwards 2 for its input and 2 for itself if it is trained (arXiv
    2001.08361); causal attention 6 * layers * heads * head_size * sequence. Looking up a row costs nothing.
    """
    body = shape.layers * layer_parameters(shape) * (6 if trainable == "all" else 4)
    attention = 6 * shape.layers * shape.heads * shape.head_size * sequence_length
    return float(body + 6 * vocabulary * shape.hidden + attention)


def seconds(shape: Shape, training: Training, compute: Compute, *, vocabulary: int) -> float:
    """Return how long a stage takes at the stated share of the peak; recomputing goes forwards once more."""
    flops = flops_per_token(
        shape,
        trainable=training.trainable,
        sequence_length=training.sequence_length,
        vocabulary=vocabulary,
    )
    once_more = 4 / 3 if training.trainable == "all" else 3 / 2
    again = once_more if training.recompute else 1.0
    return again * flops * training.tokens / (max(1, compute.gpus) * compute.peak_tflops * 1e12 * compute.mfu)
