"""What a stage of the loop will take, and what its export weighs."""

from __future__ import annotations

from typing import Final

from training import arithmetic
from training.config import Run
from training.optimization import Training
from training.planned.memory import checkpoint_bytes, memory
from training.planned.packing import corpus_tokens
from training.planned.shapes import rows_of, shape_of
from training.planned.wording import Row, amount, count, span

MODEL_BYTES: Final = 2  # a parameter in bfloat16
EXPORT_MB_S: Final = 75.0  # as the swap: read, written, read back
ENGINE_S: Final = 60.0  # vLLM's start and eight answers on two cores
ENGINE_BYTES: Final = 4  # a parameter: vLLM is asked in float32


def training(run: Run, settings: Training) -> Row:
    """Plan a stage of the loop; what cannot be is said in its place."""
    shape, compute, vocabulary = shape_of(run), run.compute, rows_of(run, settings)
    everything = arithmetic.parameters(shape, vocabulary=vocabulary)
    trained = arithmetic.trained_parameters(shape, settings.trainable, vocabulary=vocabulary)
    time = _seconds(run, settings)
    what = f"{settings.trainable}: {count(trained)} of {count(everything)} parameters; "
    what += f"{count(settings.tokens)} tokens{_times(run, settings)}, {settings.num_steps:,} steps of "
    what += f"{settings.batch_rows:,} rows; {_place(run)}: {settings.tokens / time:,.0f} tokens/s"
    what += f", {settings.tokens / time / compute.gpus:,.0f} a GPU" if compute.gpus > 1 else ""
    if compute.gpus and settings.batch_rows % compute.gpus:
        what += f" — {settings.batch_rows:,} rows cannot be divided among {compute.gpus} GPUs"
    saved, kept = _saved(run, settings), num_kept(settings)
    size = f"{amount(saved)} a checkpoint, {kept} kept: {amount(saved * kept)}; "
    size += f"model {amount(everything * MODEL_BYTES)}"
    memory = _memory(run, settings, vocabulary=vocabulary)
    return Row(settings.name, what, size, memory, span(time))


def total(run: Run) -> Row:
    """Return what the stages of the loop add up to."""
    tokens = sum(settings.tokens for settings in run.training)
    saved = sum(_saved(run, settings) * num_kept(settings) for settings in run.training)
    time = sum(_seconds(run, settings) for settings in run.training)
    what = (
        f"{count(tokens)} tokens in {len(run.training)} trainings: {tokens / time:,.0f} tokens/s on average"
    )
    hours = f"{time / 3600 * run.compute.gpus:,.0f} GPU hours" if run.compute.gpus else "no GPU"
    return Row("all trainings", what, f"{amount(saved)} of checkpoints", hours, span(time))


def _seconds(run: Run, settings: Training) -> float:
    vocabulary = rows_of(run, settings)
    return arithmetic.seconds(shape_of(run), settings, run.compute, vocabulary=vocabulary)


def _saved(run: Run, settings: Training) -> int:
    return checkpoint_bytes(shape_of(run), settings, vocabulary=rows_of(run, settings))


def num_kept(settings: Training) -> int:
    """Return how many checkpoints lie on the disk at the end: the last ones and the milestones."""
    rule, steps = settings.checkpoints, settings.num_steps
    saved = {*range(rule.every_steps, steps, rule.every_steps), steps}
    milestones = {step for step in saved if rule.milestone and step % rule.milestone == 0}
    return len(milestones | set(sorted(saved)[-rule.keep :]))


def export(run: Run) -> Row:
    """Plan the hand-over of what the last stage has trained."""
    assert run.export
    parameters = arithmetic.parameters(shape_of(run), vocabulary=rows_of(run, run.training[-1]))
    checked = "read back by transformers" + (" and vLLM" if run.export.check_engine else "")
    size = parameters * MODEL_BYTES
    return Row(
        "export",
        f"{run.export.name}: safetensors, tokenizer, card; {checked}",
        amount(size),
        amount(parameters * (ENGINE_BYTES if run.export.check_engine else MODEL_BYTES)),
        span(size / 1e6 / EXPORT_MB_S + (ENGINE_S if run.export.check_engine else 0)),
    )


def _times(run: Run, settings: Training) -> str:
    """Tell how often the corpus is gone through."""
    if settings.data == "dialogues":
        return ""
    return f" (about {settings.tokens / corpus_tokens(run, settings):.2g} × the corpus)"


def _place(run: Run) -> str:
    compute = run.compute
    place = f"{compute.gpus} GPUs" if compute.gpus else "CPU"
    return f"{place} at {compute.mfu:.3g} of {compute.peak_tflops:g} TFLOP/s"


def _memory(run: Run, settings: Training, *, vocabulary: int) -> str:
    need = memory(shape_of(run), settings, run.compute, vocabulary=vocabulary)
    parts = f"{need.total:.1f} GB each: weights {need.weights:.2f}, gradients {need.gradients:.2f}, moments "
    parts += f"{need.optimizer:.2f}, gathered {need.gathered:.2f}, activations {need.activations:.2f}, loss "
    parts += f"{need.loss:.2f}"
    if run.compute.gpus and need.total > run.compute.gpu_memory_gb:
        parts += f" — more than {run.compute.gpu_memory_gb:g} GB"
    return parts
