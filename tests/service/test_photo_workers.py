"""Workers that decode photos: bounded in number, memory and time; one that hangs or dies harms no other."""

import asyncio
import contextlib
import re
import time
from pathlib import Path

import pytest

from service.photos import BadPhoto, Decoder, Limits
from tests.service import photo_bombs as bombs
from tests.service.photo_bombs import plain, png, saved

GOOD, STUCK, DEADLY = (saved(plain(size), "JPEG") for size in ((64, 64), bombs.STUCK, bombs.DEADLY))


@pytest.fixture
async def decoders():
    """Make decoders; all are closed with the test, and leave no process."""
    made = []

    def make(*arguments, **options):
        made.append(Decoder(*arguments, **options))
        return made[-1]

    yield make
    for decoder in made:
        await decoder.close()
    assert not workers()


def workers():
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended a moment ago
            found += map(int, (task / "children").read_text().split())
    return found


def resident_mb():
    """Memory of this process and its children."""
    total = 0
    for process in ["self", *workers()]:
        try:
            total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[1])
        except (OSError, TypeError):  # it has just ended
            continue
    return total / 1024


async def peak_mb(job):
    peak = 0.0
    while not job.done():
        peak = max(peak, resident_mb())
        await asyncio.sleep(0.005)
    return peak


async def code_of(decoding):
    with pytest.raises(BadPhoto) as caught:
        await decoding
    return caught.value.code


async def test_bomb_set_takes_less_than_300_mb(decoders):
    large = [png(8000, 5000, color=6), png(8000, 5000, color=2)] * 2
    progressive = saved(plain((5000, 4000)), "JPEG", progressive=True, subsampling=0)
    everything = [*large, progressive, progressive, *(data for _, data in bombs.REFUSED.values())]
    idle_mb = resident_mb()
    decoder = decoders()
    job = asyncio.gather(*map(decoder.decode, everything), return_exceptions=True)
    peak = await peak_mb(job) - idle_mb
    assert 150 < peak < 300
    assert resident_mb() - idle_mb < 150
    assert [one.width for one in job.result()[:6]] == [461] * 4 + [360] * 2
    assert [one.code for one in job.result()[6:]] == [code for code, _ in bombs.REFUSED.values()]


async def test_stuck_photo_is_killed_and_the_others_are_served(decoders):
    decoder = decoders(timeout_s=3.0, shrink=bombs.misbehaving)
    began = time.monotonic()
    stuck = [asyncio.create_task(code_of(decoder.decode(STUCK))) for _ in range(2)]
    good = await asyncio.gather(*(decoder.decode(GOOD) for _ in range(4)))
    assert [one.width for one in good] == [64] * 4
    assert [await one for one in stuck] == ["timeout"] * 2
    assert time.monotonic() - began < 15
    assert len(workers()) <= 2


async def test_photo_that_kills_its_worker_is_tried_twice_and_refused_alone(decoders):
    decoder = decoders(shrink=bombs.misbehaving)
    good = [asyncio.create_task(decoder.decode(GOOD)) for _ in range(3)]
    assert await code_of(decoder.decode(DEADLY)) == "crashed"
    assert [(await one).width for one in good] == [64] * 3


async def test_photo_whose_worker_died_by_chance_is_decoded_in_another(decoders):
    assert (await decoders(shrink=bombs.dying_at_first).decode(GOOD)).width == 64


async def test_worker_that_died_while_idle_is_replaced(decoders):
    decoder = decoders(num_workers=1)
    await decoder.decode(GOOD)
    (worker,) = decoder._idle
    worker.kill()
    await worker.wait()
    assert (await decoder.decode(GOOD)).width == 64


async def test_photo_that_takes_more_memory_than_a_worker_has_is_refused(decoders):
    decoder = decoders(Limits(max_memory_bytes=2**20), shrink=bombs.starved)
    assert await code_of(decoder.decode(GOOD)) == "too_many_pixels"


async def test_workers_are_at_most_so_many_and_are_used_again(decoders):
    decoder = decoders(num_workers=2)
    seen = set()
    for _ in range(3):
        await asyncio.gather(*(decoder.decode(GOOD) for _ in range(5)))
        seen.update(workers())
    assert 1 <= len(seen) <= 2


async def test_caller_that_gives_up_frees_its_place(decoders):
    decoder = decoders(num_workers=1, shrink=bombs.misbehaving)
    await decoder.decode(GOOD)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(decoder.decode(STUCK), 0.3)
    assert (await decoder.decode(GOOD)).width == 64
    assert time.monotonic() - began < 5


async def test_close_ends_what_runs_and_refuses_what_comes(decoders):
    decoder = decoders(shrink=bombs.misbehaving)
    running = asyncio.create_task(code_of(decoder.decode(STUCK)))
    await asyncio.sleep(0.5)
    await decoder.close()
    assert await running == "closed"
    assert await code_of(decoder.decode(GOOD)) == "closed"
    assert not workers()


async def test_worker_gets_no_secret_of_the_environment(decoders, monkeypatch):
    monkeypatch.setenv("LLM_SECRET", "x")
    await decoders().decode(GOOD)
    for worker in workers():
        assert b"LLM_SECRET" not in Path(f"/proc/{worker}/environ").read_bytes()
