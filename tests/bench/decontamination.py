"""Whether every planted test question is found, whether an honest document goes, and how fast that is."""

from __future__ import annotations

import gzip
import json
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datatrove.data import Document

from tests.bench.report import ROOT, Result, Skipped
from training.cleaning.decontamination import Decontaminated, build_index
from training.config import Evaluation

DATA = ROOT.parent / "shared" / "data"
SETS = ("arc_ru", "mmlu_en_dev", "mmlu_en_test_sample", "mmlu_ru_dev", "mmlu_ru_val")
HONEST = {
    "corpus": ("corpus/*.jsonl.gz", "text"),
    "listings": ("listings/*.jsonl.gz", "description"),
    "reviews": ("reviews/*.jsonl.gz", "text"),
    "dialogues": ("dialogues/*.jsonl.gz", "dialogue"),
}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "verbatim": lambda text: text,
    "capitals": str.upper,
    "no punctuation": lambda text: re.sub(r"[^\w\s]|_", "", text),
    "other punctuation": lambda text: re.sub(r"[^\w\s]|_", " ~ ", text),
    "other spaces": lambda text: re.sub(r"\s+", "\n\t ", text),
}


async def run(*, quick: bool) -> Result:
    """Plant every question in real texts, then pass the real texts alone."""
    if not DATA.exists():
        raise Skipped(f"the real data are not at {DATA}")
    result = Result(
        compared="questions of MMLU and ARC, Russian and English, planted in passages of novels in five "
        "spellings: with their choices, and alone where that is no generic stem; honest: the texts themselves"
    )
    with tempfile.TemporaryDirectory() as folder:
        evaluations = [
            Evaluation(name=name, path=f"multiple_choice/{name}.jsonl.gz", text=("question", "choices"))
            for name in SETS
        ]
        begun = time.process_time()
        figures = build_index(evaluations, data=DATA, folder=Path(folder) / "index")
        step = Decontaminated(Path(folder) / "index")
        result.add("questions and long choices", len(step.index.questions), "")
        result.add("questions looked for with their choices only", figures["with choices only"], "")
        result.add("time to index them", time.process_time() - begun, "s")
        _planted(result, step, quick=quick)
        _honest(result, step, quick=quick)
    return result


def rows(pattern: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted(DATA.glob(pattern)):
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            found += [json.loads(line) for line in lines]
    return found


def _planted(result: Result, step: Decontaminated, *, quick: bool) -> None:
    chance = random.Random(2)
    passages = [row["text"] for row in rows("corpus/literature_*.jsonl.gz")[: 100 if quick else 3_000]]
    alone = {f"{found.evaluation}/{found.name}": found.alone for found in reversed(step.index.questions)}
    questions = [(name, row) for name in SETS for row in rows(f"multiple_choice/{name}.jsonl.gz")]
    missed: dict[str, list[str]] = defaultdict(list)
    generic = 0
    for way, spell in SPELLINGS.items():
        for with_choices in (True, False):
            documents = []
            for name, row in questions:
                if not with_choices and not alone[f"{name}/{row['id']}"]:
                    generic += 1
                    continue
                labels = chance.choice(("ABCDE", "абвгд", "12345"))
                listed = [f"{label}) {choice}" for label, choice in zip(labels, row["choices"], strict=False)]
                text = "\n".join([row["question"], *listed]) if with_choices else row["question"]
                passage = chance.choice(passages)
                at = chance.randrange(len(passage)) if len(passage) < 500_000 else 0
                at = passage.find(" ", at) + 1
                planted = f"{passage[:at]}\n{spell(text)}\n{passage[at : at + 5_000]}"
                documents.append(Document(planted[-20_000:], f"{name}/{row['id']}", metadata={}))
            kept = list(step.run(iter(documents)))
            label = f"planted {'with choices' if with_choices else 'alone'}, {way}: found"
            result.add(label, 100 * (1 - len(kept) / len(documents)), "%", least=100)
            missed[label] = [document.id for document in kept[:30]]
    result.details["missed"] = {label: names for label, names in missed.items() if names}
    result.add("generic questions not planted alone", generic / len(SPELLINGS), "")


def _honest(result: Result, step: Decontaminated, *, quick: bool) -> None:
    for name, (pattern, field) in HONEST.items():
        found = [row.get(field) or row.get("text") or "" for row in rows(pattern)]
        texts = ["\n".join(text) if isinstance(text, list) else text for text in found]
        documents = [Document(text, str(place), metadata={}) for place, text in enumerate(texts)]
        documents = documents[:500] if quick else documents
        size = sum(len(document.text.encode()) for document in documents) / 1e6
        begun = time.process_time()
        kept = {document.id for document in step.run(iter(documents))}
        spent = time.process_time() - begun
        gone = [document for document in documents if document.id not in kept]
        result.add(f"{name}: documents", len(documents), "")
        result.add(f"{name}: false drops", len(gone), "", below=1)
        result.add(f"{name}: speed on one core", size / spent, "MB/s")
        result.details[f"{name}: false drops"] = [
            [document.metadata["evaluation"], document.text[:300]] for document in gone
        ]
