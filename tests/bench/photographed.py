"""/describe with a photo against without: held-out photos, the shipped eyes, the shipped model.

Each photo comes with two listings: one whose title names no thing, so that only the photo tells what is sold;
one whose title is the photo's own label. What is right of a photo is the label of its set; its word counts
as told where one of its stems, or of the seller's words for the same, stands in the description.
"""

from __future__ import annotations

import asyncio
import base64
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from models.eyes import Banks, load_banks
from service.letters import fold, skeleton, stem
from tests.bench.connection import Client, client, post
from tests.bench.measures import add_answers
from tests.bench.report import ROOT, Result, Skipped, percentile
from tests.bench.stage import default_card, real_service
from training.clip.photos import Photo, list_photos, read_images
from training.config import load_run

RUN: Final = ROOT / "training" / "runs" / "clip-small.toml"
DATA: Final = ROOT.parent / "shared" / "data"
NUM, QUICK, SEED, NUM_SHOWN = 40, 8, 2, 20
NAMELESS: Final = ("Продам недорого", "Срочно!", "Отдам за символическую цену", "Новое, не подошло")
UNNAMED: Final = "предмет"  # of a caption that has a colour alone
LOADED_S: Final = 120
EYES: Final = "clip-small-ru"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One listing's two answers, in seconds too."""

    photo: Photo
    body: dict[str, Any]
    without: dict[str, Any]
    with_it: dict[str, Any]
    without_s: float
    with_it_s: float

    @property
    def caption(self) -> str | None:
        return self.with_it["captions"][0]["text"] if self.with_it["captions"] else None


async def run(*, quick: bool) -> Result:
    """Ask for every listing twice, one after the other, so that the times are of a service that is idle."""
    told = load_run(RUN).model_copy(update={"data": str(DATA)})
    if not all((DATA / one.archive).exists() for one in told.photos):
        raise Skipped(f"the photos are not at {DATA / 'photos'}")
    chance = random.Random(SEED)
    held_out = [one for one in list_photos(told.photos, data=DATA) if one.part == "test"]
    chosen = chance.sample(held_out, QUICK if quick else NUM)
    pictures = [_jpeg(picture) for picture in read_images(told.photos, chosen, data=DATA)]
    async with real_service(settings={"LLM_EYES": EYES}) as url, client(url) as served:
        await _awake(served, pictures[0])
        asked: dict[str, list[Pair]] = {"a title that names nothing": [], "the label as title": []}
        for photo, data in zip(chosen, pictures, strict=True):
            price = chance.randrange(300, 5_000, 50)
            bodies = ({"title": chance.choice(NAMELESS)}, {"title": photo.kind.capitalize()})
            for pairs, body in zip(asked.values(), bodies, strict=True):
                pairs.append(await _pair(served, photo, body | {"price": price}, data))
    strange = sum(one.role == "unknown" for one in chosen)
    result = Result(
        compared=f"{default_card()} and {EYES} behind POST /describe: {len(chosen)} random held-out photos "
        f"(seed {SEED}; none was learnt or calibrated with, {strange} of "
        "classes never taught), each listing with its photo and without, one at a time; right: the label of "
        "the photo's set; ± is the standard error"
    )
    for name, pairs in asked.items():
        _add(result, name, pairs, load_banks("goods"))
        shown = random.Random(SEED).sample(pairs, min(NUM_SHOWN, len(pairs)))
        result.details[f"{name} (random, seed {SEED})"] = [_told(one) for one in shown]
    return result


def _jpeg(picture: Any) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return base64.b64encode(file.getvalue()).decode()


async def _awake(served: Client, data: str) -> None:
    """Wait until the eyes are loaded."""
    async with asyncio.timeout(LOADED_S):
        while True:
            answer, _ = await _described(served, {"title": "Вещь", "photos": [{"base64": data}]})
            if not any(one["reason"].startswith("captions_") for one in answer["skipped_photos"]):
                return


async def _pair(served: Client, photo: Photo, body: Mapping[str, Any], data: str) -> Pair:
    without, without_s = await _described(served, body)
    with_it, with_it_s = await _described(served, {**body, "photos": [{"base64": data}]})
    return Pair(
        photo=photo,
        body=dict(body),
        without=without,
        with_it=with_it,
        without_s=without_s,
        with_it_s=with_it_s,
    )


async def _described(served: Client, body: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    reply = await served.ask(post("/describe", orjson.dumps(body)))
    if reply.status != 200:
        raise RuntimeError(f"/describe: status {reply.status}: {reply.body[:300]!r}")
    return orjson.loads(reply.body), reply.total_s


def _add(result: Result, name: str, pairs: Sequence[Pair], banks: Banks) -> None:
    kinds, colours = banks.banks["kind"], banks.banks["colour"]
    captioned = [one for one in pairs if one.caption]
    result.add(f"{name}: photos that get a caption (of {len(pairs)})", 100 * len(captioned) / len(pairs), "%")
    nouns = [
        _says(one.with_it["description"], [one.caption])
        for one in captioned
        if one.caption and UNNAMED not in one.caption
    ]
    to = {"least": 95.0} if pairs[0].body["title"] in NAMELESS else {}  # else the noun is the title's
    add_answers(result, f"{name}: a caption with a noun reaches the description", nouns, **to)
    for label, answer in (("without", "without"), ("with", "with_it")):
        texts = [(one.photo, getattr(one, answer)["description"]) for one in pairs]
        right = [_says(text, [photo.kind, *_also(kinds, photo.kind)]) for photo, text in texts]
        wrong = [
            any(_says(text, [kind]) for kind in kinds.items if kind not in {photo.kind, *_near(kinds, photo)})
            for photo, text in texts
        ]
        coloured = [any(_says(text, [colour]) for colour in colours.items) for _, text in texts]
        add_answers(result, f"{name}: the thing is named, {label} the photo", right)
        add_answers(result, f"{name}: another thing is named, {label} the photo", wrong)
        add_answers(result, f"{name}: a colour is named, {label} the photo", coloured)
    fallen = [one.with_it["finish"] == "fallback" for one in pairs]
    add_answers(result, f"{name}: fallback with the photo", fallen)
    for label, answer in (("without", "without_s"), ("with", "with_it_s")):
        result.add(
            f"{name}: p50, {label} the photo", percentile([getattr(one, answer) for one in pairs], 0.5), "s"
        )


def _also(kinds: Any, kind: str) -> Sequence[str]:
    return kinds.items[kind].also if kind in kinds.items else ()


def _near(kinds: Any, photo: Photo) -> set[str]:
    return {kind for kind in kinds.items if photo.kind in kinds.items and kinds.are_near(kind, photo.kind)}


def _says(text: str, wordings: Sequence[str]) -> bool:
    """Tell whether all words of one of the wordings stand in the text, in any form."""
    said = _stems(text)
    return any(_stems(one) <= said for one in wordings if _stems(one))


def _stems(text: str) -> set[str]:
    words = "".join(letter if letter.isalpha() else " " for letter in fold(text).lower()).split()
    return {stem(skeleton(word)) for word in words if len(word) > 2}


def _told(one: Pair) -> dict[str, Any]:
    return {
        "photo": one.photo.name,
        "label": one.photo.kind,
        "input": one.body,
        "caption": one.caption,
        "without": one.without["description"],
        "with": one.with_it["description"],
    }
