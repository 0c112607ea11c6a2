"""The eyes against a bare open_clip loop: photos a second by batch size, and what a known photo costs."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from models.errors import CardError
from models.eyes import CaptionCard, load_caption_card
from models.store import default_cache, fetch
from service.eyes import Eyes, Setup
from service.photos import Pixels
from tests.bench.report import ROOT, Result, Skipped, add_percentiles

CARD = "clip-small-ru"
BATCHES = (1, 8, 32)
WIDTH, HEIGHT = 384, 288  # of a photo as the decoder hands it over
THREADS = 2
BARE = "from tests.bench.eyes_speed import bare; bare()"


async def run(*, quick: bool) -> Result:
    """Measure both in turns, on the same photos with the same threads."""
    try:
        card = load_caption_card(CARD)
    except CardError as error:
        raise Skipped(str(error)) from None
    result = Result(
        compared=f"photos a second of {card.name}, {THREADS} threads, photos of {WIDTH}x{HEIGHT} in memory: "
        "service.eyes (pipe, preprocessing, model, labels, caption) against open_clip alone in a process of "
        "its own (preprocessing, model, text matrix), in turns; medians of rounds"
    )
    num_rounds, num_photos = (2, 32) if quick else (9, 64)
    with tempfile.TemporaryDirectory(prefix="bench-eyes-") as folder:
        eyes = Eyes(card, Setup(cache=Path(folder), num_threads=THREADS, timeout_s=120.0))
        try:
            await _loading(result, eyes, card, Path(folder))
            async with _bare_loop(card) as loop:
                for batch in BATCHES:
                    await _compare(result, eyes, loop, batch=batch, num_photos=num_photos, rounds=num_rounds)
            await _one_by_one(result, eyes, num_photos)
            await _known(result, eyes, 100 if quick else 3000)
        finally:
            await eyes.close()
    return result


async def _loading(result: Result, eyes: Eyes, card: CaptionCard, cache: Path) -> None:
    """Add the seconds of a start that has to compute the text matrix, and of one that finds it."""
    for name in ("first start, text matrix computed", "start, text matrix kept"):
        own = eyes if name.startswith("first") else Eyes(card, Setup(cache=cache, num_threads=THREADS))
        began = time.perf_counter()
        if failure := await own.start():
            raise RuntimeError(failure)
        result.add(name, time.perf_counter() - began, "s")
        if own is not eyes:
            await own.close()


async def _compare(
    result: Result, eyes: Eyes, loop: Process, *, batch: int, num_photos: int, rounds: int
) -> None:
    served, bare = [], []
    for index in range(-1, rounds):  # the first round warms up
        photos = _photos(num_photos, mark=f"{batch}-{index}")
        began = time.perf_counter()
        for start in range(0, num_photos, batch):
            looks = await eyes.look(photos[start : start + batch])
            if reason := next((look.reason for look in looks if look.reason), None):
                raise RuntimeError(f"a photo was not looked at: {reason}")
        seconds = time.perf_counter() - began
        bare_seconds = await _asked(loop, {"batch": batch, "num_photos": num_photos})
        if index >= 0:
            served.append(num_photos / seconds)
            bare.append(num_photos / bare_seconds)
    result.add(f"batch {batch}: eyes", statistics.median(served), "photos/s")
    result.add(f"batch {batch}: bare open_clip", statistics.median(bare), "photos/s")
    ratios = [one / other for one, other in zip(served, bare, strict=True)]
    result.add(f"batch {batch}: eyes / bare", statistics.median(ratios), "x")
    result.details[f"batch {batch}"] = {
        "eyes": [round(one, 1) for one in served],
        "bare": [round(one, 1) for one in bare],
    }


async def _one_by_one(result: Result, eyes: Eyes, num_photos: int) -> None:
    """Add the speed of callers with one photo each, whose photos only the eyes bring together."""
    await eyes.look(_photos(1, mark="warm"))
    photos = _photos(num_photos, mark="callers")
    began = time.perf_counter()
    await asyncio.gather(*(eyes.look([photo]) for photo in photos))
    rate = num_photos / (time.perf_counter() - began)
    result.add(f"{num_photos} callers at once, one photo each", rate, "photos/s")


async def _known(result: Result, eyes: Eyes, num_looks: int) -> None:
    photos = _photos(32, mark="known")
    await eyes.look(photos)
    seconds = []
    for index in range(num_looks):
        began = time.perf_counter()
        await eyes.look([photos[index % len(photos)]])
        seconds.append(time.perf_counter() - began)
    add_percentiles(result, "photo seen before", seconds, below=1.0)


def _photos(num_photos: int, *, mark: str) -> list[Pixels]:
    """Return photos that no cache knows; their pixels are always the same."""
    rows = [random.Random(index).randbytes(3 * WIDTH * HEIGHT) for index in range(8)]
    return [
        Pixels(width=WIDTH, height=HEIGHT, rgb=rows[index % len(rows)], sha256=f"{mark}-{index}")
        for index in range(num_photos)
    ]


@asynccontextmanager
async def _bare_loop(card: CaptionCard) -> AsyncIterator[Process]:
    """Yield a process that runs open_clip as its documentation shows, on photos of its own."""
    folder = await asyncio.to_thread(
        fetch, card.weights, sha256=card.weights_sha256, cache=default_cache(), progress=False
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", BARE), cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    try:
        await _asked(process, {"folder": str(folder)})
        yield process
    finally:
        process.kill()
        await process.wait()


async def _asked(process: Process, question: dict[str, object]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(question).encode() + b"\n")
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the bare open_clip loop ended")
    return float(line)


def bare() -> None:
    """Be the bare loop: load the folder of the first line, then print the seconds of each line's photos."""
    import torch
    from PIL import Image

    from models.vision import import_open_clip

    torch.set_num_threads(THREADS)
    name = f"local-dir:{json.loads(sys.stdin.readline())['folder']}"
    open_clip = import_open_clip()
    model, preprocess = open_clip.create_model_from_pretrained(name)
    model.eval()
    photos = [Image.frombytes("RGB", (WIDTH, HEIGHT), photo.rgb) for photo in _photos(8, mark="")]
    with torch.inference_mode():
        matrix = model.encode_text(open_clip.get_tokenizer(name)(["на фото юбка"] * 64), normalize=True)
        print(0.0, flush=True)
        for line in sys.stdin:
            wanted = json.loads(line)
            several = [photos[index % len(photos)] for index in range(wanted["num_photos"])]
            began = time.perf_counter()
            for start in range(0, len(several), wanted["batch"]):
                pixels = torch.stack([preprocess(one) for one in several[start : start + wanted["batch"]]])
                (model.encode_image(pixels, normalize=True) @ matrix.T).numpy()
            print(time.perf_counter() - began, flush=True)
