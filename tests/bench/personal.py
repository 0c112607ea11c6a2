"""How much planted personal data is found in real listings, and which other numbers are taken for it."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections import Counter

from tests.bench.planted_numbers import number, templates
from tests.bench.planted_persons import SHARES, made
from tests.bench.report import ROOT, Result, Skipped
from training.cleaning.personal import Found, find

DATA = ROOT.parent / "shared" / "data"
SEED = 20_240
NUM_CASES = 6000  # of each sort
EXAMPLES = 40


async def run(*, quick: bool) -> Result:
    """Plant both sorts in listings, then time whole sources."""
    result = Result(
        compared=f"planted in real listings at random word boundaries, seed {SEED}; the rules were tuned on "
        "other seeds of the same generators: found = every letter and digit of the planted number lies in a "
        "place of its kind; precision = found / (found + numbers of nobody's touched), as many of either sort"
    )
    listings = texts("listings/avito_2017_private_ads", "description")
    num = 600 if quick else NUM_CASES
    rng = random.Random(SEED)
    found, planted, missed = _recall(rng, listings, num)
    touched, none, wrong = _precision(rng, listings, num)
    for kind in SHARES:
        result.add(f"recall, {kind} ({planted[kind]})", found[kind] / planted[kind], "")
    result.add("recall", found.total() / num, "", least=0.98)
    result.add(
        "precision on numbers of nobody's", found.total() / (found.total() + touched.total()), "", least=0.95
    )
    result.add("numbers of nobody's untouched", 1 - touched.total() / num, "", least=0.95)
    result.details |= {"missed": missed[:EXAMPLES], "touched": wrong[:EXAMPLES]}
    result.details["touched by sort"] = {sort: f"{touched[sort]} of {none[sort]}" for sort in none}
    for name, source, field in (
        ("listings", "listings/avito_2017_private_ads", "description"),
        ("prose", "corpus/literature_novels_pd", "text"),
    ):
        result.add(f"{name}, one core", _speed(texts(source, field), megabytes=1 if quick else 10), "MB/s")
    return result


def texts(source: str, field: str) -> list[str]:
    """Return the texts of a real source."""
    path = DATA / f"{source}.jsonl.gz"
    if not path.exists():
        raise Skipped(f"the real texts are not at {path}")
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [text for line in file if (text := json.loads(line).get(field))]


def plant(rng: random.Random, text: str, piece: str) -> tuple[str, int]:
    """Return the text with the piece between two of its words, and where the piece begins."""
    breaks = [0, len(text), *(place for place, char in enumerate(text) if char in " \n")]
    at = rng.choice(breaks)
    before, after = text[:at], text[at:].lstrip(" ")
    if before and not before[-1].isspace():
        before += rng.choice((" ", " ", ". ", ", ", "\n"))
    return before + piece + (" " if after and not after[0].isspace() else "") + after, len(before)


def _covered(text: str, start: int, end: int, found: list[Found], kind: str) -> bool:
    places = [place for place in range(start, end) if text[place].isalnum()]
    return all(any(one.kind == kind and one.start <= place < one.end for one in found) for place in places)


def _recall(
    rng: random.Random, listings: list[str], num: int
) -> tuple[Counter[str], Counter[str], list[str]]:
    found: Counter[str] = Counter()
    planted: Counter[str] = Counter()
    missed = []
    for _ in range(num):
        case = made(rng, rng.choices(list(SHARES), list(SHARES.values()))[0])
        text, at = plant(rng, rng.choice(listings), case.before + case.core + case.after)
        start = at + len(case.before)
        planted[case.kind] += 1
        if _covered(text, start, start + len(case.core), find(text), case.kind):
            found[case.kind] += 1
        else:
            shown = text[max(0, at - 15) : start + len(case.core) + len(case.after) + 10]
            missed.append(f"{case.kind}/{case.style}: {case.core} | {shown}")
    return found, planted, missed


def _precision(
    rng: random.Random, listings: list[str], num: int
) -> tuple[Counter[str], Counter[str], list[str]]:
    touched: Counter[str] = Counter()
    none: Counter[str] = Counter()
    sorts, wrong = templates(), []
    for _ in range(num):
        sort = rng.choice(list(sorts))
        piece = number(rng, rng.choice(sorts[sort]))
        text, start = plant(rng, rng.choice(listings), piece)
        none[sort] += 1
        for one in find(text):
            if one.start < start + len(piece) and start < one.end:
                touched[sort] += 1
                wrong.append(f"{sort}: {piece} | {one.kind}: {text[one.start : one.end]}")
                break
    return touched, none, wrong


def _speed(documents: list[str], *, megabytes: float) -> float:
    size, taken = 0, []
    for text in documents * 20:
        taken.append(text)
        size += len(text.encode())
        if size > megabytes * 1e6:
            break
    find("8 916")
    begun = time.process_time()
    for text in taken:
        find(text)
    return size / 1e6 / (time.process_time() - begun)
