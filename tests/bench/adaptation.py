"""The base, every stage of a run and what is served: how well each foretells real texts, how fast it writes.

    BENCH_RUN=OUT/RUN python -m tests.bench adaptation    # the stages' folders; without it base and default

Bits per character on texts that no stage was trained on, float32, context 512. Characters per second: a bare
vLLM for each of both models, the same real listings under each card's own prompt, in turns ABBA, so that what
is counted is the length of real descriptions and not of forced noise. The base sometimes ends at once or
runs on; tokens per second stand beside it.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.card import load_card
from models.store import default_cache
from service.engine.local import EngineStartError, LocalEngine
from service.engine.unpack import servable_folder
from tests.bench import listings
from tests.bench.engine import Run, bare, turn
from tests.bench.load import in_parallel
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
NUM, CHARACTERS = 150, 800  # texts of a set, and of each at most so much
SEED = 1
CONCURRENCY = (1, 4, 16)
TURNS, WINDOW_S = "ABBA", 20
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
    for model, folder in folders.items():
        for name, some in texts.items():
            found = bits_per_character(folder, some, context=512, batch_tokens=512)
            add(result, f"{model}: {name}", found.value, found.stderr, len(some), "bits/char")
            result.details.setdefault("characters a token", {})[f"{model}: {name}"] = round(
                found.characters / found.tokens, 3
            )
    await _compare_speed(result, {"A": BASE, "B": served}, quick=quick)
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


async def _compare_speed(result: Result, cards: dict[str, str], *, quick: bool) -> None:
    bodies = listings.bodies(8 if quick else NUM_LISTINGS)
    runs: dict[tuple[str, int], list[Run]] = {}
    for side in TURNS[:2] if quick else TURNS:
        for concurrency, one in (await _write(cards[side], bodies, quick=quick)).items():
            runs.setdefault((side, concurrency), []).append(one)
    for concurrency in CONCURRENCY:
        speed = {side: _rate(runs[side, concurrency]) for side in cards}
        for side, card in cards.items():
            characters, tokens = speed[side]
            result.add(f"{card}, {concurrency} at once: characters/s", characters, "char/s")
            result.add(f"{card}, {concurrency} at once: tokens/s", tokens, "tok/s")
        ratio = speed["B"][0] / speed["A"][0]
        result.add(f"{concurrency} at once: characters/s against the base", ratio, "×", least=1.5)


async def _write(card: str, bodies: Sequence[dict[str, Any]], *, quick: bool) -> dict[int, Run]:
    """Start a vLLM and let it write at each number of requests."""
    local = LocalEngine(load_card(card), card_source=card, cache=default_cache(), on_restart=lambda: None)
    try:
        await local.start(timeout_s=START_LIMIT_S)
        ask = bare(local.client, load_card(card))
        await in_parallel(ask, bodies, num_workers=8)  # prefixes are cached as in a service that runs
        seconds = 5 if quick else WINDOW_S
        return {number: await turn(ask, bodies, local.client, number, seconds) for number in CONCURRENCY}
    except EngineStartError as error:
        raise RuntimeError(str(error)) from None
    finally:
        await local.close()


def _rate(runs: Sequence[Run]) -> tuple[float, float]:
    wall_s = sum(one.wall_s for one in runs)
    characters = sum(len(answer.text) for one in runs for answer in one.answers)
    return characters / wall_s, sum(one.generated for one in runs) / wall_s
