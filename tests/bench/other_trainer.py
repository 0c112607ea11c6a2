"""The Trainer of transformers on rows that are packed already, as the loop is measured against it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from training.optimization import Training
from training.packed.batches import Batch


class _Ends(TrainerCallback):
    """Notes when each optimizer step ends."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_step_end(self, *_: Any, **others: Any) -> None:
        self.at.append(time.perf_counter())


def train(
    base: Path, batches: Sequence[Batch], *, settings: Training, folder: Path
) -> tuple[list[float], list[float]]:
    """Return losses and, from the second step on, seconds of the steps.

    transformers makes the block mask out of position ids that begin anew; `shift_labels` are targets of their
    own position, as padding-free collators give them.
    """
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
    if settings.trainable == "embeddings":
        model.requires_grad_(False)
        for part in (model.get_input_embeddings(), model.get_output_embeddings()):
            part.requires_grad_(True)
    ends = _Ends()
    trainer = Trainer(
        model=model,
        args=_arguments(settings, folder=folder),
        train_dataset=[row for batch in batches for row in _rows(batch)],  # type: ignore[arg-type]
        data_collator=lambda rows: {key: torch.stack([row[key] for row in rows]) for key in rows[0]},
        callbacks=[ends],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    return losses, [b - a for a, b in itertools.pairwise(ends.at)]


def _rows(batch: Batch) -> list[dict[str, torch.Tensor]]:
    return [
        {"input_ids": ids, "position_ids": positions, "labels": labels, "shift_labels": labels}
        for ids, positions, labels in zip(batch.ids, batch.positions, batch.labels, strict=True)
    ]


def _arguments(settings: Training, *, folder: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.num_steps,
        per_device_train_batch_size=settings.micro_rows,
        gradient_accumulation_steps=settings.batch_rows // settings.micro_rows,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        optim="adamw_torch_fused",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        adam_epsilon=settings.epsilon,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
