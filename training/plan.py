"""What a run will do, weigh and take, stage by stage, before anything is started (`--dry-run`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training import arithmetic
from training.arithmetic import GB
from training.cleaning.reading import files_of
from training.config import Run, Shape, Source
from training.errors import ConfigError

# Measured on two cores (tests/bench/results/{corpus,tokenizers,swap}.json), per worker where it is many.
CORPUS_MB_S: Final = 0.65  # short texts; prose goes four times as fast
CORPUS_MEMORY_GB: Final = 0.7
TOKENIZER_MB_S: Final = 4.0
TOKENIZER_MEMORY: Final = 6.5  # bytes a byte of sample: 0.53 GB for 81 MB, slower beyond
SWAP_MB_S: Final = 75.0
SWAP_MEMORY_GB: Final = 0.5  # Mistral 7B's shapes: rows are made in chunks, the rest is copied
FOCUS_MEMORY_GB: Final = 0.7  # more, for pairs of tokens and their vectors, on 50 MB of text
KEPT: Final = 0.73  # share of 1.5 TB that the reference team kept
BYTES_A_CHARACTER: Final = 1.8  # Russian text with digits, spaces and Latin names
CHARACTERS_A_TOKEN: Final = 3.4
MADE_BYTES: Final = 300  # a made-up document
COMPRESSED: Final = 4.0  # text a byte of gzip, zstd or Parquet


@dataclass(frozen=True)
class Row:
    """One stage: what it does, what it writes, what it holds in memory, how long it takes."""

    stage: str
    what: str
    size: str
    memory: str
    time: str


def plan(run: Run) -> list[Row]:
    """Return the rows of a run. Raises ConfigError where a size is neither found nor stated."""
    rows = [_corpus(run)]
    if run.tokenizer:
        rows.append(_tokenizer(run))
    if run.embeddings:
        rows.append(_embeddings(run))
    return rows + _training(run)


def _corpus(run: Run) -> Row:
    size = sum(text_size(source, data=Path(run.data)) for source in run.corpus.sources)
    executor = run.corpus.executor
    kept = size * KEPT
    tokens = kept / BYTES_A_CHARACTER / CHARACTERS_A_TOKEN
    what = f"{len(run.corpus.sources)} sources, {amount(size)} of text; {executor.kind}, "
    what += f"{executor.tasks:,} tasks, {executor.workers:,} at a time"
    written = f"about {amount(kept)} of text, {_count(tokens)} tokens, and up to 3 × that on the way"
    time = size / 1e6 / CORPUS_MB_S / executor.workers
    return Row("corpus", what, written, f"{executor.workers * CORPUS_MEMORY_GB:.1f} GB in all", span(time))


def text_size(source: Source, *, data: Path) -> float:
    """Return the bytes of a source's text: stated, or of its files. Raises ConfigError if neither is."""
    if source.made is not None:
        return source.made * MADE_BYTES
    if source.size_gb is not None:
        return source.size_gb * GB
    try:
        sizes = [(path.suffix, path.stat().st_size) for path in files_of(source, data=data)]
    except ConfigError as error:
        raise ConfigError(f"{error}; for a plan without the files give its `size_gb`") from None
    return sum(size * (1.0 if suffix in {".txt", ".jsonl"} else COMPRESSED) for suffix, size in sizes)


def _tokenizer(run: Run) -> Row:
    assert run.tokenizer
    sample = run.tokenizer.sample_mb * 1e6
    upweighted = ", ".join(f"{name} × {factor:g}" for name, factor in run.tokenizer.upweight.items())
    what = f"{run.tokenizer.vocabulary:,} byte-level BPE on {amount(sample)}"
    return Row(
        "tokenizer",
        what + (f" ({upweighted})" if upweighted else ""),
        f"{run.tokenizer.vocabulary * 70 / 1e6:.1f} MB",
        amount(sample * TOKENIZER_MEMORY),
        span(sample / 1e6 / TOKENIZER_MB_S),
    )


def _embeddings(run: Run) -> Row:
    assert run.embeddings and run.tokenizer
    shape = shape_of(run)
    vocabulary = padded(run.tokenizer.vocabulary)
    old = arithmetic.parameters(shape, vocabulary=shape.vocabulary)
    new = arithmetic.parameters(shape, vocabulary=vocabulary)
    what = f"{run.embeddings.base}, {shape.vocabulary:,} → {vocabulary:,} rows, {run.embeddings.method}; "
    what += f"{_count(old)} → {_count(new)} parameters"
    memory = SWAP_MEMORY_GB + (FOCUS_MEMORY_GB if run.embeddings.method == "focus" else 0)
    return Row("embeddings", what, amount(new * 2), f"{memory:g} GB", span(new * 2 / 1e6 / SWAP_MB_S))


def _training(run: Run) -> list[Row]:
    if not run.training:
        return []
    shape, compute = shape_of(run), run.compute
    vocabulary = padded(run.tokenizer.vocabulary) if run.tokenizer else shape.vocabulary
    weight = arithmetic.parameters(shape, vocabulary=vocabulary)
    rows = []
    for training in run.training:
        need = arithmetic.memory(shape, training, compute, vocabulary=vocabulary)
        place = f"{compute.gpus} GPUs" if compute.gpus else "CPU"
        trained = weight
        if training.trainable == "embeddings":
            trained = arithmetic.embedding_parameters(shape, vocabulary=vocabulary)
        what = f"{training.trainable}: {_count(training.tokens)} tokens, {place} at {compute.mfu:.0%} of "
        what += f"{compute.peak_tflops:g} TFLOP/s"
        parts = (
            f"{need.total:.1f} GB each: weights {need.weights:.2f}, gradients {need.gradients:.2f}, moments "
        )
        parts += f"{need.optimizer:.2f}, gathered {need.gathered:.2f}, activations {need.activations:.2f}"
        if compute.gpus and need.total > compute.gpu_memory_gb:
            parts += f" — more than {compute.gpu_memory_gb:g} GB"
        size = f"{amount(weight * 4 + trained * 8)} a checkpoint"
        time = arithmetic.seconds(shape, training, compute, vocabulary=vocabulary)
        rows.append(Row(training.name, what, size, parts, span(time)))
    return rows


def shape_of(run: Run) -> Shape:
    """Return the base's dimensions: from its config.json if it is here, else as the run file states them."""
    assert run.embeddings
    if run.embeddings.shape:
        return run.embeddings.shape
    config = Path(run.data) / run.embeddings.base / "config.json"
    if run.embeddings.base == "tiny":
        return TINY
    if not config.is_file():
        raise ConfigError(
            f"embeddings.shape: {run.embeddings.base} is not here, so the plan needs its dimensions"
        )
    found = json.loads(config.read_bytes())
    found = found.get("text_config", found)
    heads = found["num_attention_heads"]
    return Shape(
        hidden=found["hidden_size"],
        layers=found["num_hidden_layers"],
        heads=heads,
        kv_heads=found.get("num_key_value_heads", heads),
        head_size=found.get("head_dim") or found["hidden_size"] // heads,
        intermediate=found["intermediate_size"],
        vocabulary=found["vocab_size"],
        tied=found.get("tie_word_embeddings", True),
    )


TINY: Final = Shape(
    hidden=64, layers=2, heads=4, kv_heads=2, head_size=16, intermediate=128, vocabulary=32_000, tied=False
)


def padded(vocabulary: int) -> int:
    """Return the number of rows: the next multiple of 64."""
    return -(-vocabulary // 64) * 64


def amount(size: float) -> str:
    """Return bytes as people read them: 1.5 TB, 104 MB."""
    for unit, factor in (("TB", 1e12), ("GB", GB), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.3g} kB"


def span(time_s: float) -> str:
    """Return seconds as people read them: 15.0 days, 3.2 h, 4 min, 12 s."""
    for unit, factor in (("days", arithmetic.DAY_S), ("h", 3600), ("min", 60)):
        if time_s >= 2 * factor:
            return f"{time_s / factor:.1f} {unit}"
    return f"{time_s:.0f} s"


def _count(number: float) -> str:
    return f"{number / 1e9:.3g}B" if number >= 1e9 else f"{number / 1e6:.3g}M"


def columns(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the rows as cells, in the order of the table."""
    return [(row.stage, row.what, row.size, row.memory, row.time) for row in rows]
