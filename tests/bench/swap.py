"""What a new vocabulary costs a real base by each way of making its rows, right after and some steps on."""

from __future__ import annotations

import multiprocessing
import random
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from models.store import default_cache
from tests.bench.report import Result, Skipped
from tests.bench.tokenizers import DATA, UPWEIGHT, split
from training.bases import resolve_base
from training.config import Tokenizer
from training.embeddings import swap_embeddings
from training.errors import CheckpointError
from training.scoring import Score, score
from training.swap.checkpoint import open_checkpoint, open_rows
from training.swap.focus import focus_weights
from training.swap.initial import Plan, make_rows, trained_ids
from training.swap.pieces import old_pieces
from training.swap.vectors import token_vectors
from training.tokenizer import train_tokenizer
from training.vocabulary.base import Vocabulary
from training.vocabulary.loading import load_vocabulary

BASE = "card:gemma3-270m"
METHODS = ("focus", "mean", "global-mean", "random", "wrong map")
SETS = ("listings", "prose")
STEPS = (0, 10, 30)  # 30 of them are about 2 minutes on 2 cores
BATCH, LENGTH = 8, 128  # 1,024 tokens a step
LEARNING_RATE = 1e-3
WARM_UP = 10  # steps
CONTEXT = 512
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything."""

    vocabulary: int = 32_768
    tokenizer_mb: float = 30.0
    vectors_mb: float = 50.0
    characters: int = 30_000  # scored of each set
    steps: tuple[int, ...] = STEPS


QUICK = Size(vocabulary=4_096, tokenizer_mb=2.0, vectors_mb=2.0, characters=2_000, steps=(0, 1))


@dataclass(frozen=True)
class Bench:
    """What all methods share: the base, both vocabularies, texts, the same batches in the same order."""

    size: Size
    base: Path
    tokenizer: Path
    old: Vocabulary
    new: Vocabulary
    corpus: list[str]
    held_out: dict[str, list[str]]
    batches: list[torch.Tensor]


async def run(*, quick: bool) -> Result:
    """Swap, score, train the embeddings a little, score again: the same for every method."""
    if not DATA.exists():
        raise Skipped(f"the real texts are not at {DATA}")
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        try:
            bench = prepare(QUICK if quick else Size(), folder=Path(folder))
        except CheckpointError as error:
            raise Skipped(str(error)) from error
        last = bench.size.steps[-1]
        result = Result(
            compared=f"bits per character on held-out texts: {BASE} under a new byte-level vocabulary of "
            f"{bench.size.vocabulary:,}, by the way its rows are made, after 0 to {last} steps of "
            f"{BATCH * LENGTH:,} tokens (embeddings alone, AdamW, {LEARNING_RATE:g}); "
            "`wrong map` is the mean of old.encode(token_text)"
        )
        scores = {"its own vocabulary": {0: _score(_load(bench.base), bench, vocabulary=bench.old)}}
        for method in METHODS:
            scores[method] = measure(bench, method=method, target=Path(folder) / method, result=result)
        scores["focus as published"] = {0: published(bench, folder=Path(folder) / "mean")}
    tell(result, scores)
    return result


def prepare(size: Size, *, folder: Path) -> Bench:
    """Train the vocabulary, and cut the texts for vectors, scores and steps."""
    base = resolve_base(BASE, cache=default_cache())
    trained, held_out = split()
    rng = random.Random(SEED)
    upweighted = [text for name, texts in trained.items() for text in texts * round(UPWEIGHT.get(name, 1))]
    rng.shuffle(upweighted)
    tokenizer = folder / "tokenizer"
    settings = Tokenizer(vocabulary=size.vocabulary, sample_mb=size.tokenizer_mb)
    train_tokenizer(_up_to(upweighted, size.tokenizer_mb), settings=settings, folder=tokenizer)
    new = load_vocabulary(str(tokenizer))
    return Bench(
        size,
        base,
        tokenizer,
        old=load_vocabulary(str(base)),
        new=new,
        corpus=list(_up_to(upweighted, size.vectors_mb)),
        held_out={name: _characters(held_out[name], size.characters) for name in SETS},
        batches=batches(trained, vocabulary=new, num=size.steps[-1]),
    )


def batches(trained: dict[str, list[str]], *, vocabulary: Vocabulary, num: int) -> list[torch.Tensor]:
    """Return batches [BATCH, LENGTH]: documents of both sets in turn, one behind the other."""
    rng = random.Random(SEED)
    start, wanted = vocabulary.roles["bos"], num * BATCH * LENGTH
    drawn = {name: rng.sample(trained[name], len(trained[name])) for name in SETS}
    ids: dict[str, list[int]] = {name: [] for name in SETS}
    for name, texts in drawn.items():
        for text in texts:
            if len(ids[name]) >= wanted // 2:
                break
            ids[name] += [start, *vocabulary.encode(text)]
    rows = [
        ids[name][begin : begin + LENGTH]
        for begin in range(0, wanted // 2 - LENGTH + 1, LENGTH)
        for name in SETS
        if len(ids[name]) >= begin + LENGTH
    ]
    assert len(rows) >= num * BATCH, "too few texts for the steps"
    return [torch.tensor(rows[i * BATCH : (i + 1) * BATCH]) for i in range(num)]


def measure(bench: Bench, *, method: str, target: Path, result: Result) -> dict[int, dict[str, Score]]:
    """Return the scores by steps; a process of its own does the swap, so that its memory can be told."""
    target.mkdir()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        seconds, peak_mb = pool.submit(swap, bench, method, target).result()
    result.add(f"{method}: time of the swap", seconds, "s")
    result.add(f"{method}: peak memory of the swap", peak_mb, "MB")
    model = _load(target)
    found = {}
    done = 0
    for steps in bench.size.steps:
        train(model, bench.batches[done:steps], first=done)
        done = steps
        found[steps] = _score(model, bench, vocabulary=bench.new)
    return found


def swap(bench: Bench, method: str, target: Path) -> tuple[float, float]:
    """Write the swapped checkpoint; return seconds, and how far memory rose above what was read before."""
    wrong = [bench.old.encode(piece.text) for piece in bench.new.pieces] if method == "wrong map" else None
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before_kb, begun = _status_kb("VmRSS"), time.perf_counter()
    swap_embeddings(
        bench.base,
        old=bench.old,
        new=bench.new,
        tokenizer=bench.tokenizer,
        target=target,
        method="mean" if wrong else method,  # type: ignore[arg-type]
        seed=SEED,
        corpus=bench.corpus,
        pieces=wrong,
    )
    return time.perf_counter() - begun, (_status_kb("VmHWM") - before_kb) / 1_000


def _status_kb(name: str) -> int:
    return int(re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


def train(model: Any, steps: Sequence[torch.Tensor], *, first: int) -> None:
    """Train the embedding (and so the tied head) on the batches; the optimizer lives with the model."""
    if not steps:
        return
    model.requires_grad_(False)
    embedding = model.get_input_embeddings().weight.requires_grad_(True)
    if not hasattr(model, "optimizer"):
        model.optimizer = torch.optim.AdamW([embedding], lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0)
    for number, ids in enumerate(steps, start=first + 1):
        model.optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1, number / WARM_UP)
        with torch.autocast(model.device.type, torch.bfloat16):
            loss = model(input_ids=ids.to(model.device), labels=ids.to(model.device), use_cache=False).loss
        loss.backward()
        model.optimizer.step()
        model.optimizer.zero_grad()


def published(bench: Bench, *, folder: Path) -> dict[str, Score]:
    """Score FOCUS as in its paper: all shared tokens, similarities as they are, no means."""
    base = open_checkpoint(bench.base)
    pieces = old_pieces(bench.new, old=bench.old)
    found = token_vectors(bench.corpus, vocabulary=bench.new, dimensions=256, seed=SEED)
    weights = focus_weights(pieces, found=found, num_old=base.num_rows, sharpness=1, share=1, least=1)
    plan = Plan(weights, trained_ids(bench.old, num_rows=base.num_rows))
    model = _load(folder)
    weight = model.get_input_embeddings().weight
    rows = torch.cat(list(make_rows(open_rows(base.embedding), plan=plan, num_rows=len(weight), seed=SEED)))
    weight.data.copy_(rows)
    return _score(model, bench, vocabulary=bench.new)


def tell(result: Result, scores: dict[str, dict[int, dict[str, Score]]]) -> None:
    """Add the scores, and the differences that are to have a sign."""
    for method, by_steps in scores.items():
        for steps, found in by_steps.items():
            for name, one in found.items():
                result.add(f"{method}, {name}, {steps} steps", one.value, "bits/char")
    result.details["stderr at 0 steps"] = {
        method: {name: round(one.stderr, 4) for name, one in found[0].items()}
        for method, found in scores.items()
    }
    for worse, better in (
        ("mean", "focus"),
        ("global-mean", "mean"),
        ("random", "global-mean"),
        ("wrong map", "mean"),
    ):
        for steps, found in scores[worse].items():
            for name, one in found.items():
                gap = one.value - scores[better][steps][name].value
                result.add(f"{worse} minus {better}, {name}, {steps} steps", gap, "bits/char", least=0)


def _score(model: Any, bench: Bench, *, vocabulary: Vocabulary) -> dict[str, Score]:
    with torch.autocast(model.device.type, torch.bfloat16):
        return {
            name: score(model, texts, vocabulary=vocabulary, context=CONTEXT, batch_tokens=1_024)
            for name, texts in bench.held_out.items()
        }


def _load(folder: Path) -> Any:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()


def _up_to(texts: Sequence[str], megabytes: float) -> Iterator[str]:
    left = megabytes * 1e6
    for text in texts:
        if left < 0:
            return
        left -= len(text.encode())
        yield text


def _characters(texts: Sequence[str], most: int) -> list[str]:
    """Return texts of 40 characters and more, cut to 1,500, of `most` characters in all."""
    found: list[str] = []
    for text in texts:
        if len(text) >= 40 and sum(map(len, found)) < most:
            found.append(text[:1_500])
    return found
