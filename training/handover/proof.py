"""The export read back before it counts: transformers and the real vLLM have to find what was trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.handover.agreement import ask_engine, compare
from training.handover.reload import greedy_answers, load_model
from training.handover.tokens import check_tokenizer
from training.handover.weights import check_equal
from training.swap.stored import Stored
from training.vocabulary.base import Vocabulary


@dataclass(frozen=True)
class Proof:
    """What was found: the tokenizer's fingerprint for the card, figures for people."""

    fingerprint: str
    figures: dict[str, Any] = field(default_factory=dict)


def prove(
    folder: Path,
    *,
    tensors: Sequence[Stored],
    vocabulary: Vocabulary,
    rows: int,
    template: str | None,
    context: int,
    engine_log: Path | None,
) -> Proof:
    """Hold `folder` against the trained tensors and vocabulary; `engine_log` None leaves vLLM out.

    Raises CheckpointError naming what differs, TrainingError where vLLM cannot answer.
    """
    begun = time.monotonic()
    fingerprint = check_tokenizer(folder, vocabulary=vocabulary, rows=rows, template=template)
    model = load_model(folder)
    check_equal(model.state_dict(), tensors=tensors)
    figures: dict[str, Any] = {"reloaded in transformers": "equal"}
    if engine_log is not None:
        expected = greedy_answers(model, folder=folder)
        model.to("meta")  # its memory is the engine's now
        answers = ask_engine(folder, context=context, log=engine_log)
        figures["engine answers equal"] = compare(expected, answers)
    return Proof(fingerprint, figures | {"seconds of checks": round(time.monotonic() - begun, 1)})
