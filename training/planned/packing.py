"""What turning texts and dialogues into rows of tokens will take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training.config import Dialogues, Run
from training.dialogues.reading import dialogue_files
from training.errors import ConfigError
from training.optimization import Training
from training.planned.preparing import COMPRESSED, text_kept
from training.planned.shapes import rows_of
from training.planned.wording import Row, amount, count, span

PACKING_MB_S: Final = 1.3  # a core: made-up listings, 1,536 tokens
NODE_CORES: Final = 64  # of a machine with GPUs, which packs alone; without them two
PACKING_MEMORY: Final = "about 1 GB"  # 4M pieces are packed at a time, 2M characters tokenized
TABLES: Final = 1.05  # with the tables of documents and rows beside the ids
BYTES_A_CHARACTER: Final = 1.8  # Russian text with digits, spaces and Latin names
# Characters a token on listings (tests/bench/results/tokenizers.json): ours; Mistral's 32k; tekken's 131k.
OURS: Final = 3.4
SMALL_BASE: Final = 2.1
LARGE_BASE: Final = 2.6
LARGE: Final = 65_536  # rows; beyond it an id takes 4 bytes, too
DIALOGUES_S: Final = 140.0  # with prompts of 2,800 characters, one core
MADE_BYTES: Final = 5_000  # the prompt of /describe with its examples, and the answer


def packing(run: Run, trainings: Sequence[Training], *, name: str) -> Row:
    """Plan the tokenizing and packing of the corpus for the stages of one vocabulary."""
    size, tokens = text_kept(run), corpus_tokens(run, trainings[0])
    lengths = ", ".join(f"{length:,}" for length in sorted({one.sequence_length for one in trainings}))
    cores = NODE_CORES if run.compute.gpus else 2
    return Row(
        name,
        f"about {count(tokens)} tokens of {rows_of(run, trainings[0]):,} kinds into rows of {lengths}",
        amount(tokens * _width(run, trainings[0]) * TABLES),
        PACKING_MEMORY,
        f"{span(size / 1e6 / PACKING_MB_S / cores)} on {cores} cores",
    )


def dialogues(run: Run, trainings: Sequence[Training], *, name: str) -> Row:
    """Plan the rendering of the dialogues. Files that are not here are said to be of unknown size."""
    sizes = [_dialogues_size(one, data=Path(run.data)) for one in run.dialogues]
    longest = max(one.sequence_length for one in trainings)
    what = f"{', '.join(one.name for one in run.dialogues)}: answers are trained, prompts are not; "
    what += f"what exceeds a row of {longest:,} is dropped"
    known = sum(size for size in sizes if size is not None)
    if None in sizes:
        return Row(name, what, "files not here, size unknown", PACKING_MEMORY, "unknown")
    tokens = known / BYTES_A_CHARACTER / characters_a_token(run, trainings[0])
    size = amount(tokens * (_width(run, trainings[0]) + 1) * TABLES)  # a byte more tells what is trained
    return Row(name, what, size, PACKING_MEMORY, span(known / MADE_BYTES / DIALOGUES_S))


def corpus_tokens(run: Run, training: Training) -> float:
    """Return the tokens of the clean corpus in the vocabulary that a stage trains with."""
    return text_kept(run) / BYTES_A_CHARACTER / characters_a_token(run, training)


def characters_a_token(run: Run, training: Training) -> float:
    """Return what a token of the stage's vocabulary spells on average."""
    if run.embeddings and training.vocabulary == "new":
        return OURS
    return SMALL_BASE if rows_of(run, training) <= LARGE else LARGE_BASE


def _width(run: Run, training: Training) -> int:
    return 2 if rows_of(run, training) <= LARGE else 4


def _dialogues_size(dialogues: Dialogues, *, data: Path) -> float | None:
    if dialogues.made is not None:
        return dialogues.made * MADE_BYTES
    try:
        files = dialogue_files(dialogues, data=data)
    except ConfigError:
        return None
    return sum(path.stat().st_size * (1 if path.suffix == ".jsonl" else COMPRESSED) for path in files)
