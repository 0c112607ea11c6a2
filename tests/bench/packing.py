"""How full the rows are and how fast they are made, beside other ways; how fast texts are tokenized."""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.bench.other_packers import BUFFER, Lengths, buffered, least_rows, pieces
from tests.bench.report import Result
from tests.bench.tokenizers import DATA, split
from training.config import Source, Tokenizer
from training.packed.encoding import tokenize
from training.packed.fit import pack
from training.samples import make_texts
from training.tokenizer import train_tokenizer
from training.vocabulary.loading import load_vocabulary

LENGTHS = (512, 4_096)
CHARACTERS_A_TOKEN = 3.4  # of a Russian vocabulary, to make lengths out of texts
DRAWN = 200_000  # documents of each kind, drawn from the real ones, so that a last row decides nothing
DOCUMENTS = 5_000_000  # that the speed is measured on
MEGABYTES = 10.0


async def run(*, quick: bool) -> Result:
    """Pack made-up and real lengths in four ways; time packing and tokenizing."""
    result = Result(
        compared="best-fit decreasing on the histogram of lengths, against one document a row, cutting a "
        f"stream at every row's end, and rows filled with the longest that fits of a buffer of {BUFFER:,}; "
        f"lengths are characters / {CHARACTERS_A_TOKEN:g}, documents beyond a row are cut at multiples of it"
    )
    texts = sets(quick=quick)
    for name, documents in texts.items():
        tokens = np.array([1 + round(len(text) / CHARACTERS_A_TOKEN) for text in documents], np.int64)
        result.details[f"{name}: documents, median tokens"] = [len(tokens), int(np.median(tokens))]
        for length in LENGTHS:
            compare(result, f"{name}, T = {length:,}", tokens, length=length)
    pooled = np.array([1 + len(text) / CHARACTERS_A_TOKEN for some in texts.values() for text in some])
    for length in LENGTHS:
        speed(result, pooled.astype(np.int64), length=length, num=100_000 if quick else DOCUMENTS)
    tokenizing(result, texts, megabytes=1.0 if quick else MEGABYTES)
    return result


def sets(*, quick: bool) -> dict[str, Sequence[str]]:
    """Return documents by kind: made up, and the real ones where they are present."""
    made = Source(name="made", made=2_000 if quick else 20_000, domain="listings")
    found: dict[str, Sequence[str]] = {"made-up listings": [text for text, _ in make_texts(made, seed=1)]}
    if DATA.exists():
        trained, _ = split()
        found |= {name: trained[name] for name in ("listings", "reviews", "dialogues", "prose")}
        found["all together"] = [text for some in trained.values() for text in some]
    return found


def compare(result: Result, name: str, tokens: Lengths, *, length: int) -> None:
    """Add the share of positions that each way uses, and what cutting a stream does to documents."""
    tokens = np.random.default_rng(1).choice(tokens, DRAWN)
    lengths = pieces(tokens, length=length)
    rows = {
        "full": len(pack(lengths, length=length, seed=1)[1]),
        "full at most": least_rows(lengths, length=length),
        "full, buffer": buffered(lengths, length=length),
        "full, one document a row": len(lengths),
    }
    shares = {way: 100 * int(lengths.sum()) / (num * length) for way, num in rows.items()}
    reachable = math.floor(100 * shares["full at most"]) / 100
    for way, share in shares.items():
        target = min(99.8, reachable) if way == "full" else None
        result.add(f"{name}: {way}", share, "%", least=target)
    short, lasts = tokens <= length, np.cumsum(tokens) - 1
    cut = short & (lasts // length != (lasts - tokens + 1) // length)
    result.add(f"{name}: cut by a stream", 100 * cut.sum() / max(1, short.sum()), "% that fit")


def speed(result: Result, tokens: Lengths, *, length: int, num: int) -> None:
    """Add documents and tokens packed a second."""
    drawn = pieces(np.random.default_rng(1).choice(tokens, num), length=length)
    begun = time.perf_counter()
    pack(drawn, length=length, seed=1)
    seconds = time.perf_counter() - begun
    result.add(f"packing, T = {length:,}", len(drawn) / seconds / 1e6, "M documents/s", least=1)
    result.add(f"packing, T = {length:,}: tokens", int(drawn.sum()) / seconds / 1e6, "M/s")


def tokenizing(result: Result, texts: dict[str, Sequence[str]], *, megabytes: float) -> None:
    """Add the speed of a tokenizer.json, on all cores, and of a SentencePiece model, on one."""
    pool = [text for some in texts.values() for text in some]
    chosen = _up_to(random.Random(1).sample(pool, len(pool)), megabytes)
    size = sum(len(text.encode()) for text in chosen) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        settings = Tokenizer(vocabulary=4_096, sample_mb=megabytes)
        train_tokenizer(_up_to(chosen, megabytes / 4), settings=settings, folder=Path(folder))
        for kind, reference in (("tokenizer.json", folder), ("SentencePiece", "mistral-v0.1")):
            vocabulary, begun = load_vocabulary(reference), time.perf_counter()
            sum(map(len, tokenize(chosen, vocabulary=vocabulary)))
            result.add(f"tokenizing, {kind}", size / (time.perf_counter() - begun), "MB/s")


def _up_to(texts: Sequence[str], megabytes: float) -> list[str]:
    ends = np.cumsum([len(text.encode()) for text in texts])
    return list(texts[: int(np.searchsorted(ends, megabytes * 1e6)) + 1])
