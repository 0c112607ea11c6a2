"""/extract-model on real feeds: accuracy, precision by confidence; `--fit` writes the card's calibration.

    python -m tests.bench.extraction --fit      # after a new checkpoint, prompt or normalizer

The half of the titles that the curves are fitted on (by hash) is never in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from models.card import CARDS
from service.product_models import NORMALIZER_VERSION, model_key
from tests.bench.gold import ENGLISH, Gold, gold
from tests.bench.report import Result, save, show
from tests.bench.stage import default_card, real_service

BATCH = 64
MOST = 250  # titles of one feed: the largest would else decide everything
SURE = 0.8
BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """One title's answer held against its feed."""

    gold: Gold
    answer: dict[str, Any]

    @property
    def stated(self) -> bool:
        """True where the feed's model stands in the title or the description, spelled in some way."""
        text = f"{self.gold.title} {self.gold.description or ''}"
        return _plain(self.gold.model or "") in _plain(text)

    @property
    def exact(self) -> bool:
        """True if the model is written as in the feed, with or without the brand; case and blanks aside."""
        told, wanted = (_plain(text or "") for text in (self.answer["model"], self.gold.model))
        brand = _plain(self.gold.brand or "")
        return bool(told) and told.removeprefix(brand) == wanted.removeprefix(brand)

    @property
    def same_key(self) -> bool:
        """True if both have one key, brand included: what the grouper would do."""
        gold = self.gold
        wanted = model_key(gold.model, brand=gold.brand, category=gold.category) if gold.model else None
        return wanted is not None and self.answer["model_key"] == wanted

    @property
    def right(self) -> bool:
        """True if the answer is right: the model by its key, or rightly none."""
        return self.answer["model"] is None if self.gold.names_none else self.same_key

    @property
    def confidence(self) -> float:
        """Return what the service thinks of its answer."""
        return float(self.answer["confidence"])


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()


async def ask(url: str, rows: Sequence[Gold]) -> list[Judged]:
    """Return the judged answers of the batch endpoint."""
    judged: list[Judged] = []
    async with aiohttp.ClientSession() as session:
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            items = [
                {
                    "item_id": index,
                    "title": row.title,
                    "category": row.category,
                    "description": row.description,
                }
                for index, row in enumerate(part)
            ]
            headers = {"X-Deadline-Ms": "300000"}
            async with session.post(
                f"{url}/extract-model/batch", json={"items": items}, headers=headers
            ) as response:
                answers = (await response.json(content_type=None))["items"]
            for row, answer in zip(part, answers, strict=True):
                if answer["status"] != "ok":
                    raise RuntimeError(f"{row.title}: {answer['problem']}")
                judged.append(Judged(row, answer["result"]))
            print(f"\r  {len(judged)}/{len(rows)} titles", end="", flush=True)
    print()
    return judged


async def run(*, quick: bool) -> Result:
    """Measure the default checkpoint on the test half of every feed."""
    rows = [row for row in gold(most=12 if quick else MOST) if quick or row.split == "test"]
    async with real_service() as url:
        judged = await ask(url, rows)
    result = Result(
        compared=f"{default_card()}, POST /extract-model/batch, random titles of real feeds (seed 1, test "
        "half); right: the same model_key as the feed's model, or none where the feed has none"
    )
    for source in sorted({row.source for row in rows}):
        _report(result, source, [one for one in judged if one.gold.source == source])
    russian = [one for one in judged if one.gold.source != ENGLISH]
    _report(result, "all Russian feeds", russian)
    _report_confidence(result, russian)
    result.details["samples (seed 1)"] = [
        f"{one.gold.title} -> {one.answer['model']} / {one.gold.model}: {one.confidence:.2f} {one.right}"
        for one in random.Random(1).sample(judged, min(30, len(judged)))
    ]
    return result


def _share(of: Sequence[bool]) -> float:
    return 100 * sum(of) / len(of) if of else float("nan")


def _report(result: Result, name: str, judged: Sequence[Judged]) -> None:
    with_model = [one for one in judged if one.gold.model]
    without = [one for one in judged if one.gold.names_none]
    found = [one for one in judged if one.answer["model"]]
    result.add(f"{name}: titles", len(judged), "")
    if with_model:
        stated = [one for one in with_model if one.stated]
        result.add(f"{name}: model stands in the text", _share([one.stated for one in with_model]), "%")
        result.add(f"{name}: exact, where it stands", _share([one.exact for one in stated]), "%")
        result.add(f"{name}: model_key, where it stands", _share([one.same_key for one in stated]), "%")
        result.add(f"{name}: model_key, of all", _share([one.same_key for one in with_model]), "%")
    if without:
        result.add(f"{name}: rightly none", _share([one.right for one in without]), "%")
    if found:
        result.add(f"{name}: precision of named models", _share([one.right for one in found]), "%")
    branded = [one for one in judged if one.gold.brand and _plain(one.gold.brand) in _plain(one.gold.title)]
    if branded:
        brand = [_plain(one.answer["brand"] or "") == _plain(one.gold.brand or "") for one in branded]
        result.add(f"{name}: brand, where it stands in the title", _share(brand), "%")


def _report_confidence(result: Result, judged: Sequence[Judged]) -> None:
    named = [one for one in judged if one.answer["model"]]
    sure = [one for one in named if one.confidence >= SURE]
    result.add("named models, full coverage: precision", _share([one.right for one in named]), "%")
    result.add(f"named models, confidence >= {SURE}: precision", _share([one.right for one in sure]), "%")
    result.add(f"named models, confidence >= {SURE}: coverage", 100 * len(sure) / max(1, len(named)), "%")
    result.add("expected calibration error, named", calibration_error(named), "")
    result.add("expected calibration error, all", calibration_error(judged), "")


def calibration_error(judged: Sequence[Judged]) -> float:
    """Return the mean distance of confidence and share right over ten bins of equal width, weighted by size.

    Expected calibration error, Naeini et al. 2015.
    """
    total = 0.0
    for number in range(BINS):
        inside = [one for one in judged if min(BINS - 1, int(one.confidence * BINS)) == number]
        if inside:
            right = sum(one.right for one in inside) / len(inside)
            total += len(inside) * abs(right - sum(one.confidence for one in inside) / len(inside))
    return total / max(1, len(judged))


async def fit(card: str) -> str:
    """Return the card's calibration as TOML, fitted on the fit half with a card that has none."""
    text = _without_curves((CARDS / f"{card}.toml").read_text(encoding="utf-8"))
    (CARDS / f"{card}.toml").write_text(text, encoding="utf-8")
    rows = [row for row in gold(most=MOST) if row.split == "fit" and row.source != ENGLISH]
    async with real_service(card=card) as url:
        judged = await ask(url, rows)
    lines = [
        "\n[calibration.extract_model]",
        f'normalizer_version = "{NORMALIZER_VERSION}"',
        f'data = "{len(rows)} titles of real Russian feeds, the fit half"',
        'command = "python -m tests.bench.extraction --fit"',
    ]
    for name, part in (
        ("found", [one for one in judged if one.answer["model"]]),
        ("none", [one for one in judged if not one.answer["model"]]),
    ):
        points = ", ".join(f"[{raw:.4f}, {right:.4f}]" for raw, right in isotonic(part))
        lines += [f"[calibration.extract_model.{name}]", f"n = {len(part)}", f"points = [{points}]"]
    (CARDS / f"{card}.toml").write_text(text.rstrip("\n") + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return "\n".join(lines)


def isotonic(judged: Sequence[Judged]) -> list[tuple[float, float]]:
    """Return the rising curve that fits (raw probability, right) best, as its corner points."""
    from sklearn.isotonic import IsotonicRegression

    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    regression.fit([one.confidence for one in judged], [float(one.right) for one in judged])
    corners = zip(regression.X_thresholds_, regression.y_thresholds_, strict=True)
    points: dict[float, float] = {}
    for raw, right in corners:
        points[round(float(raw), 4)] = float(right)
    return sorted(points.items())


def _without_curves(text: str) -> str:
    return re.sub(r"\n\[calibration\.extract_model\](?:.*\n?)*?(?=\n\[(?!calibration)|\Z)", "\n", text)


def main() -> None:
    """Measure, or fit."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.extraction", description=__doc__)
    parser.add_argument("--fit", action="store_true", help="write the calibration into the card")
    parser.add_argument("--card", default=default_card())
    arguments = parser.parse_args()
    if arguments.fit:
        print(asyncio.run(fit(arguments.card)))
        return
    result = asyncio.run(run(quick=False))
    show("extraction", result)
    save("extraction", result)


if __name__ == "__main__":
    main()
