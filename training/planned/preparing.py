"""What the stages around the swap will take: corpus, tokenizer, the base's new rows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training import arithmetic
from training.arithmetic import GB
from training.cleaning.reading import files_of
from training.config import Run, Source
from training.errors import ConfigError
from training.planned.shapes import padded, shape_of
from training.planned.wording import Row, amount, count, span

# Measured on two cores (tests/bench/results/{corpus,tokenizers,swap}.json), per worker where it is many.
CORPUS_MB_S: Final = 0.65  # short texts; prose goes four times as fast
CORPUS_MEMORY_GB: Final = 0.7
TOKENIZER_MB_S: Final = 4.0
TOKENIZER_MEMORY: Final = 6.5  # bytes a byte of sample: 0.53 GB for 81 MB, slower beyond
SWAP_MB_S: Final = 75.0
SWAP_MEMORY_GB: Final = 0.5  # Mistral 7B's shapes: rows are made in chunks, the rest is copied
FOCUS_MEMORY_GB: Final = 0.7  # more, for pairs of tokens and their vectors, on 50 MB of text
KEPT: Final = 0.73  # share of 1.5 TB that the reference team kept
MADE_BYTES: Final = 300  # a made-up document
COMPRESSED: Final = 4.0  # text a byte of gzip, zstd or Parquet


def corpus(run: Run) -> Row:
    """Plan the cleaning of the texts. Raises ConfigError where a size is neither found nor stated."""
    size, executor = _text_read(run), run.corpus.executor
    what = f"{len(run.corpus.sources)} sources, {amount(size)} of text; {executor.kind}, "
    what += f"{executor.tasks:,} tasks, {executor.workers:,} at a time"
    written = f"about {amount(text_kept(run))} of text, and up to 3 × that on the way"
    time = size / 1e6 / CORPUS_MB_S / executor.workers
    return Row("corpus", what, written, f"{executor.workers * CORPUS_MEMORY_GB:.1f} GB in all", span(time))


def text_kept(run: Run) -> float:
    """Return the bytes of text that are expected to be left of a corpus."""
    return _text_read(run) * KEPT


def _text_read(run: Run) -> float:
    return sum(text_size(source, data=Path(run.data)) for source in run.corpus.sources)


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


def tokenizer(run: Run) -> Row:
    """Plan the training of the vocabulary."""
    assert run.tokenizer
    sample = run.tokenizer.sample_mb * 1e6
    upweighted = ", ".join(f"{name} × {factor:g}" for name, factor in run.tokenizer.upweight.items())
    kind = "byte-level BPE" if run.tokenizer.grow_from == "bytes" else "tokens, the base's and new merges,"
    what = f"{run.tokenizer.vocabulary:,} {kind} on {amount(sample)}"
    return Row(
        "tokenizer",
        what + (f" ({upweighted})" if upweighted else ""),
        f"{run.tokenizer.vocabulary * 70 / 1e6:.1f} MB",
        amount(sample * TOKENIZER_MEMORY),
        span(sample / 1e6 / TOKENIZER_MB_S),
    )


def embeddings(run: Run) -> Row:
    """Plan the swap of the vocabulary."""
    assert run.embeddings and run.tokenizer and run.base
    shape, vocabulary = shape_of(run), padded(run.tokenizer.vocabulary)
    old = arithmetic.parameters(shape, vocabulary=shape.vocabulary)
    new = arithmetic.parameters(shape, vocabulary=vocabulary)
    what = f"{run.base.checkpoint}, {shape.vocabulary:,} → {vocabulary:,} rows, {run.embeddings.method}; "
    what += f"{count(old)} → {count(new)} parameters"
    memory = SWAP_MEMORY_GB + (FOCUS_MEMORY_GB if run.embeddings.method == "focus" else 0)
    return Row("embeddings", what, amount(new * 2), f"{memory:g} GB", span(new * 2 / 1e6 / SWAP_MB_S))
