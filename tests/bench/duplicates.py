"""What is found of documents with one word changed, what goes wrongly, how fast, beside plain datatrove."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import random
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from pathlib import Path

import xxhash
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.utils.text import TextNormConfig
from datatrove.utils.word_tokenizers import WordTokenizer

from tests.bench.report import ROOT, Result, Skipped
from training.cleaning import duplicates
from training.cleaning.profiles import NearDuplicates
from training.cleaning.shingles import plain

DATA = ROOT.parent / "shared" / "data"
WORKERS = 2
LISTINGS = NearDuplicates(buckets=25, hashes=5)
LONG = NearDuplicates()
CHARS = 3_000  # of a passage of a novel
LIKE = 0.7  # share of common 5-grams with a kept document below which a removed one is a false positive
NUM_SHOWN = 30
Pass = tuple[PipelineStep, int, bool]  # step, tasks, whether it reads documents

_DOCUMENTS: list[Document] = []  # of a worker


async def run(*, quick: bool) -> Result:
    """Measure recall and false positives, then the speed of both on one corpus."""
    if not DATA.exists():
        raise Skipped(f"the real data are not at {DATA}")
    result = Result(
        compared="each text and a copy with a random word replaced by a random other; false positive: "
        f"removed though less than {LIKE:g} of the 5-grams are common with any kept text; thresholds were "
        "set on these listings (not on what is called unseen). Speed: 2 processes, documents in memory; "
        "datatrove's steps with a tokenizer of words at spaces (FineWeb's setting) and of characters (ours)"
    )
    ads, unpaired, passages = listings("private_ads"), unpaired_descriptions(), novels(quick=quick)
    _quality(result, "listings", [*ads, *listings("feeds"), *unpaired], LISTINGS, least=0.9)
    _quality(result, "private ads", ads, LISTINGS, least=0.9)
    _quality(result, "listings 20 x 6", [*ads, *listings("feeds"), *unpaired], LONG)
    _quality(result, "comments, unseen", unseen("moderation/toxic_comments")[:4_000], LISTINGS, least=0.9)
    reviews = [*unseen("reviews/places_text_only"), *unseen("reviews/restaurants")]
    reviews += unseen("reviews/one_product_nightlight")
    _quality(result, "reviews, unseen", reviews, LISTINGS, least=0.9)
    _quality(result, "long texts", passages[: 100 if quick else 2_000], LONG, least=0.99)
    _speeds(result, quick=quick)
    return result


def read(path: str) -> Iterator[dict[str, str]]:
    with gzip.open(DATA / path, "rt", encoding="utf-8", newline="\n") as lines:
        yield from map(json.loads, lines)


def listings(name: str) -> list[str]:
    """Return titles with their descriptions, which is what a document of the corpus is."""
    path = {"private_ads": "avito_2017_private_ads", "feeds": "avito_seller_feeds"}[name]
    rows = read(f"listings/{path}.jsonl.gz")
    return [f"{row['title']}\n\n{row['description']}" for row in rows if row.get("description")]


def unpaired_descriptions() -> list[str]:
    """Return descriptions without title; fewer than five words are no text of which one can change."""
    texts = [row["text"] for row in read("listings/avito_2017_descriptions_unpaired.jsonl.gz")]
    return [text for text in texts if len(text.split()) >= 5]


def unseen(name: str) -> list[str]:
    """Return short texts that no threshold was set on."""
    texts = [row.get("text") or row.get("comment") or "" for row in read(f"{name}.jsonl.gz")]
    return [text for text in texts if len(text.split()) >= 5]


def novels(*, quick: bool) -> list[str]:
    found: list[str] = []
    for row in read("corpus/literature_novels_pd.jsonl.gz"):
        found += [row["text"][at : at + CHARS] for at in range(0, len(row["text"]) - CHARS, CHARS)]
        if quick and len(found) > 200:
            break
    return found


def changed(text: str, words: Sequence[str], chance: random.Random) -> str:
    """Return the text with one word replaced."""
    parts = re.split(r"(\s+)", text)
    parts[chance.choice([place for place, part in enumerate(parts) if part.strip()])] = chance.choice(words)
    return "".join(parts)


def _quality(
    result: Result, name: str, texts: list[str], settings: NearDuplicates, *, least: float | None = None
) -> None:
    chance = random.Random(4)
    texts = list({plain(text): text for text in texts}.values())
    words = [word for text in chance.sample(texts, min(500, len(texts))) for word in text.split()]
    originals = [Document(text, f"{name}/{number}") for number, text in enumerate(texts)]
    copies = [
        Document(changed(text, words, chance), f"{name}/{number}'") for number, text in enumerate(texts)
    ]
    kept = {document.id for document in through([*originals, *copies], settings)}
    found = sum(not {original.id, copy.id} <= kept for original, copy in zip(originals, copies, strict=True))
    result.add(f"{name}", len(texts), "texts")
    result.add(f"{name}: recall of one word changed", found / len(texts), "", least=least)
    stayed = through(originals, settings)
    ids = {document.id for document in stayed}
    removed = [document for document in originals if document.id not in ids]
    wrong = sorted(_likeness(removed, stayed))
    wrong = [row for row in wrong if row[0] < LIKE]
    result.add(f"{name}: removed without copies", 100 * len(removed) / len(texts), "%")
    result.add(f"{name}: false positives", 100 * len(wrong) / len(texts), "%", below=least and 0.1)
    result.details[f"{name}: false positives"] = [
        f"{share:.2f}: {text[:120]} | {other[:120]}" for share, text, other in wrong[:NUM_SHOWN]
    ]


def through(documents: list[Document], settings: NearDuplicates) -> list[Document]:
    """Return what is left after all passes."""
    with tempfile.TemporaryDirectory() as folder:
        for step, tasks, reads in ours(Path(folder), settings):
            kept = [step.run(iter(documents) if reads else None, rank, tasks) for rank in range(tasks)]
        return list(kept[0])


def _likeness(removed: list[Document], kept: list[Document]) -> Iterator[tuple[float, str, str]]:
    """Yield the largest share of common 5-grams of each removed text with a kept one, and both."""
    sets = [(shingles(document.text), document.text) for document in kept]
    for document in removed:
        own = shingles(document.text)
        share, text = max((len(own & other) / len(own | other), text) for other, text in sets)
        yield share, document.text, text


def shingles(text: str) -> set[str]:
    text = plain(text)
    return {text[place : place + 5] for place in range(max(1, len(text) - 4))}


class Words(WordTokenizer):
    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    sent_tokenize = span_tokenize = word_tokenize


class Characters(Words):
    def word_tokenize(self, text: str) -> list[str]:
        return list(text)


class PlainSignature(MinhashDedupSignature):
    """datatrove's own step; xxhash 4 no longer hashes str."""

    def __init__(self, folder: str, config: MinhashConfig, tokenizer: WordTokenizer) -> None:
        super().__init__(folder, config, tokenizer)
        self._hash_func = hash_of


def hash_of(text: str) -> int:
    return xxhash.xxh64_intdigest(text.encode())


def ours(folder: Path, settings: NearDuplicates, *, tasks: int = 1) -> list[Pass]:
    return [
        (duplicates.signature(folder, settings), tasks, True),
        (duplicates.buckets(folder, settings), settings.buckets, False),
        (duplicates.clusters(folder, settings), 1, False),
        (duplicates.removed(folder), tasks, True),
    ]


def datatrove(folder: Path, config: MinhashConfig, tokenizer: WordTokenizer) -> list[Pass]:
    signatures, pairs, removed = (str(folder / name) for name in ("signatures", "pairs", "removed"))
    return [
        (PlainSignature(signatures, config, tokenizer), WORKERS, True),
        (MinhashDedupBuckets(signatures, pairs, config=config), config.num_buckets, False),
        (MinhashDedupCluster(pairs, removed, config=config), 1, False),
        (MinhashDedupFilter(removed), WORKERS, True),
    ]


def _speeds(result: Result, *, quick: bool) -> None:
    dialogues = ["\n".join(row["dialogue"]) for row in read("dialogues/short_dialogues_cc0.jsonl.gz")]
    corpora = {"novels": novels(quick=quick), "dialogues": dialogues}
    exact = TextNormConfig(norm_numbers=False, norm_unicode_diacritics=False)
    chars = MinhashConfig(num_buckets=LISTINGS.buckets, hashes_per_bucket=LISTINGS.hashes, norm_config=exact)
    for name, texts in corpora.items():
        megabytes = 0.5 if quick else 12.0
        measured = {
            f"{name}, ours, 25 x 5": (megabytes, lambda folder: ours(folder, LISTINGS, tasks=WORKERS)),
            f"{name}, datatrove, words 14 x 8": (
                megabytes / 4,
                lambda folder: datatrove(folder, MinhashConfig(), Words()),
            ),
            f"{name}, datatrove, characters 25 x 5": (
                megabytes / 16,
                lambda folder: datatrove(folder, chars, Characters()),
            ),
        }
        for label, (size, passes) in measured.items():
            with tempfile.TemporaryDirectory() as folder:
                first, whole = _speed(texts, passes(Path(folder)), megabytes=size)
            result.add(f"{label}: signatures", first, "MB/s")
            result.add(f"{label}: all passes", whole, "MB/s")


def _speed(texts: Sequence[str], passes: list[Pass], *, megabytes: float) -> tuple[float, float]:
    """Return the speed of the first pass and of all, by wall time of processes that hold the documents."""
    used, size = [], 0
    for text in texts:
        if size > 1e6 * megabytes:
            break
        used.append(text)
        size += len(text.encode())
    context = multiprocessing.get_context("forkserver")
    spent = []
    with ProcessPoolExecutor(WORKERS, mp_context=context, initializer=_hold, initargs=(used,)) as pool:
        list(pool.map(time.sleep, [0.3] * WORKERS))  # both are up
        for step, tasks, reads in passes:
            begun = time.monotonic()
            list(pool.map(_work, [step] * tasks, range(tasks), [tasks] * tasks, [reads] * tasks))
            spent.append(time.monotonic() - begun)
    return size / 1e6 / spent[0], size / 1e6 / sum(spent)


def _hold(texts: Sequence[str]) -> None:
    from loguru import logger

    logger.remove()
    _DOCUMENTS.extend(Document(text, f"{number}") for number, text in zip(count(), texts, strict=False))
    plain("the table of characters is made once")


def _work(step: PipelineStep, rank: int, tasks: int, reads: bool) -> None:
    documents = iter(_DOCUMENTS[rank::tasks]) if reads else None
    for _ in step.run(documents, rank, tasks) or ():
        pass
