"""Drops documents that hold a question of an evaluation set.

datatrove's own step compares n-grams of words, so another hyphen hides a question, and it needs lighteval.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter

from training.cleaning.questions import Question, files_of, load_questions, read_questions, save_questions
from training.cleaning.quotations import Index, quoted
from training.cleaning.shingles import PIECE, batches, pieces
from training.config import Evaluation

__all__ = ["Decontaminated", "build_index", "files_of"]

_OVERLAP: Final = 4_096  # characters: a question and its choices lie in one piece


def build_index(evaluations: Sequence[Evaluation], *, data: Path, folder: Path) -> dict[str, int]:
    """Write what is looked for; return the number of questions, and of those looked for with their choices.

    Raises ConfigError where a file or field is missing, CorpusError with the line that cannot be read.
    """
    questions = [question for evaluation in evaluations for question in read_questions(evaluation, data=data)]
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_questions(questions, partial / "questions.jsonl")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
    return {
        "questions": len(questions),
        "with choices only": sum(not question.alone for question in questions),
    }


class Decontaminated(BaseFilter):
    """Drop a document with a question in it: 13 words of one in a row, or the whole of a shorter one.

    Where that would be "Which of the following is true?" all its choices must follow, or the question must be
    the whole document. The document's metadata tell which question it was.
    """

    name = "Decontaminated"

    def __init__(self, folder: Path, *, exclusion_writer: DiskWriter | None = None) -> None:
        super().__init__(exclusion_writer, batch_size=128)
        self.folder = folder

    @cached_property
    def index(self) -> Index:
        """Load the index, once in each worker."""
        return Index(load_questions(self.folder / "questions.jsonl"))

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Tell whether a document is free of questions."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """Tell it of several documents."""
        found = [question for documents in batches(batch) for question in self._questions(documents)]
        for document, question in zip(batch, found, strict=True):
            if question:
                document.metadata["evaluation"] = f"{question.evaluation}/{question.name}"
        return [(False, "evaluation") if question else True for question in found]

    def _questions(self, documents: list[Document]) -> list[Question | None]:
        if len(documents) == 1 and len(documents[0].text) > PIECE:
            for piece in pieces(documents[0].text, overlap=_OVERLAP):
                if (found := quoted([piece], self.index)[0]) is not None:
                    return [found]
            return [None]
        return quoted([document.text for document in documents], self.index)
