"""The base, every stage of a run and what is served: how well each foretells real texts, how fast it writes.

    BENCH_RUN=OUT/RUN python -m tests.bench adaptation    # the stages' folders; without it base and default

Bits per character on texts that no stage was trained on, float32, context 512. Characters per second: a bare
vLLM for each of both models, in turns ABBA, continues real titles by exactly so many tokens; its tokens per
second times the characters that a token has in real listings, so that what it happens to write is no matter.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from models.card import load_card
from models.store import default_cache
from service.engine.local import EngineStartError, LocalEngine
from service.engine.unpack import servable_folder
from tests.bench import listings
from tests.bench.measures import add
from tests.bench.report import ROOT, Result, Skipped
from tests.bench.stage import default_card
from training.bases import resolve_base
from training.scoring import bits_per_character

DATA = ROOT.parent / "shared" / "data"
BASE = "gemma3-270m"
# Fields of a row are joined by a blank line. Real, and in no run file that ships.
SETS = {
    "listings": ("listings/avito_2017_private_ads", ("title", "description")),
    "feeds": ("listings/avito_seller_feeds", ("title", "description")),
    "reviews": ("reviews/one_product_nightlight", ("pros", "cons", "comment")),
    "prose": ("corpus/fortunes_ru", ("text",)),
    "documentation": ("corpus/docs_progit2", ("text",)),
    "English": ("multiple_choice/mmlu_en_test_sample", ("question",)),
}
NUM, CHARACTERS = 60, 800  # texts of a set, and of each at most so much
SEED = 1
CONCURRENCY = (1, 4, 16)
TURNS, WINDOW_S = "ABBA", 20
TOKENS = 96  # of an answer: a description of 300 characters
NUM_LISTINGS, START_LIMIT_S = 48, 900


async def run(*, quick: bool) -> Result:
    """Score the models one after another, then let two of them write."""
    if not DATA.exists():
        raise Skipped(f"the real texts are not at {DATA}")
    served = default_card()
    texts = {name: _texts(name, num=8 if quick else NUM) for name in SETS}
    folders = _folders(served)
    result = Result(
        compared=f"{', '.join(folders)}; {NUM} random texts a set (seed {SEED}), at most {CHARACTERS} "
        f"characters of each; speed: {BASE} (A) and {served} (B) on a bare vLLM, turns {TURNS} "
        f"of {WINDOW_S} s"
    )
    per_token: dict[str, float] = {}
    for model, folder in folders.items():
        for name, some in texts.items():
            found = bits_per_character(folder, some, context=512, batch_tokens=512)
            add(result, f"{model}: {name}", found.value, found.stderr, len(some), "bits/char")
            per_token[f"{model}: {name}"] = round(found.characters / found.tokens, 3)
    result.details["characters a token"] = per_token
    cards = {"A": BASE, "B": served}
    listed = {card: per_token[f"{card}: listings"] for card in cards.values()}
    await _compare_speed(result, cards, listed, quick=quick)
    return result


def _texts(name: str, *, num: int) -> list[str]:
    """Return random texts of a set: the beginnings of its rows."""
    file, fields = SETS[name]
    with gzip.open(DATA / f"{file}.jsonl.gz", "rt", encoding="utf-8", newline="\n") as lines:
        rows = [json.loads(line) for line in lines]
    whole = ["\n\n".join(filter(None, (str(row.get(field) or "") for field in fields))) for row in rows]
    some = [text for text in whole if len(text) > 40]
    chosen = random.Random(SEED).sample(some, min(num, len(some)))
    return [text[:CHARACTERS] for text in chosen]


def _folders(served: str) -> dict[str, Path]:
    """Return the models by name: the base, the stages of a run that have weights, what is served."""
    cache = default_cache()
    found = {BASE: resolve_base(f"card:{BASE}", cache=cache)}
    if run := os.environ.get("BENCH_RUN"):
        links = [
            path for path in Path(run).iterdir() if path.is_symlink() and (path / "config.json").exists()
        ]
        found |= {path.name: path for path in sorted(links, key=lambda path: path.stat().st_mtime)}
    if served != BASE:
        found[served] = servable_folder(load_card(served), cache=cache)
    return found


async def _compare_speed(
    result: Result, cards: Mapping[str, str], per_token: Mapping[str, float], *, quick: bool
) -> None:
    prompts = [body["title"] for body in listings.bodies(8 if quick else NUM_LISTINGS)]
    found: dict[tuple[str, int], list[float]] = {}
    for side in TURNS[:2] if quick else TURNS:
        for number, tokens_per_s in (await _write(cards[side], prompts, quick=quick)).items():
            found.setdefault((side, number), []).append(tokens_per_s)
    for number in CONCURRENCY:
        speed = {}
        for side, card in cards.items():
            tokens_per_s = sum(found[side, number]) / len(found[side, number])
            speed[side] = tokens_per_s * per_token[card]
            result.add(f"{card}, {number} at once: characters/s", speed[side], "char/s")
            result.details.setdefault("tokens/s, each turn", {})[f"{card}, {number}"] = found[side, number]
        result.add(
            f"{number} at once: characters/s against the base", speed["B"] / speed["A"], "×", least=1.5
        )


async def _write(card: str, prompts: Sequence[str], *, quick: bool) -> dict[int, float]:
    """Start a vLLM and let it write on; return the tokens per second at each number of requests."""
    local = LocalEngine(load_card(card), card_source=card, cache=default_cache(), on_restart=lambda: None)
    try:
        await local.start(timeout_s=START_LIMIT_S)
        async with aiohttp.ClientSession(local.client.url) as session:
            await _turn(session, prompts, number=CONCURRENCY[-1], seconds=5)  # everything is warm
            seconds = 5 if quick else WINDOW_S
            return {n: await _turn(session, prompts, number=n, seconds=seconds) for n in CONCURRENCY}
    except EngineStartError as error:
        raise RuntimeError(str(error)) from None
    finally:
        await local.close()


async def _turn(
    session: aiohttp.ClientSession, prompts: Sequence[str], *, number: int, seconds: float
) -> float:
    source, tokens, begun = itertools.cycle(prompts), 0, time.perf_counter()

    async def worker() -> None:
        nonlocal tokens
        while time.perf_counter() - begun < seconds:
            body = {"prompt": next(source), "max_tokens": TOKENS, "ignore_eos": True, "temperature": 0}
            async with session.post("/v1/completions", json=body) as response:
                response.raise_for_status()
                tokens += (await response.json())["usage"]["completion_tokens"]

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(worker())
    return tokens / (time.perf_counter() - begun)
