"""The eyes' process, its batches and its cache, with a worker that has no model and starts at once."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from service import eyes as reasons
from tests.service import quick_eyes
from tests.service.eyes_material import BANKS, NEVER, SURE, alike, card_of, opened, photo
from tests.service.processes import children


@pytest.fixture
async def open_eyes(tmp_path):
    """Make eyes with a quick worker; all are closed with the test, and leave no process."""
    made = []
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        (folder / name).write_text("of no use")

    def make(card=None, *, worker="serve", **options):
        options = {"cache": tmp_path / "cache", "worker": f"{quick_eyes.__name__}:{worker}", **options}
        made.append(opened(card or card_of(folder), **options))
        return made[-1]

    yield make
    for eyes in made:
        await eyes.close()
    assert not pids()


def pids():
    return children(os.getpid(), command=quick_eyes.__name__)


@pytest.fixture
def batches(monkeypatch):
    """Record how many photos each batch that reaches the worker has."""
    sizes = []
    ask = reasons.EyesWorker.ask

    async def recorded(self, photos):
        sizes.append(len(photos))
        return await ask(self, photos)

    monkeypatch.setattr(reasons.EyesWorker, "ask", recorded)
    return sizes


async def looked(eyes, *seeds):
    return await eyes.look([photo(seed) for seed in seeds])


async def test_each_photo_gets_its_own_look(open_eyes):
    photos = [photo(seed) for seed in range(12)]
    looks = await open_eyes(max_batch=5).look(photos)
    labels = [(bank, name) for bank, one in BANKS.banks.items() for name in one.items]
    for one, look in zip(photos, looks, strict=True):
        sure = [(label.bank, label.name) for label in look.labels if label.score > 0.9]
        assert sure == [labels[one.rgb[0] % len(labels)]]
    assert len({look.labels for look in looks}) > 3


async def test_photos_that_wait_make_up_batches(open_eyes, batches):
    eyes = open_eyes(max_batch=4)
    await asyncio.gather(*(looked(eyes, seed) for seed in range(10)))
    assert batches == [4, 4, 2]


async def test_photo_seen_before_is_not_looked_at_again(open_eyes, batches):
    eyes = open_eyes()
    first = await looked(eyes, 1)
    assert first[0].text
    assert await looked(eyes, 1) == first
    assert batches == [1]


async def test_same_photo_of_two_callers_is_looked_at_once(open_eyes, batches):
    eyes = open_eyes()
    one, other = await asyncio.gather(looked(eyes, 1, 1), looked(eyes, 1))
    assert one == other * 2
    assert batches == [1]


async def test_cache_forgets_what_was_not_used_longest(open_eyes, batches):
    eyes = open_eyes(max_cached=2)
    for seed in (1, 2, 1, 3, 1, 2):  # 3 takes the place of 2, for 1 was used after it
        await looked(eyes, seed)
    assert len(batches) == 4


async def test_bank_that_is_not_sure_or_not_calibrated_says_nothing(open_eyes):
    card = open_eyes().card
    sure = card.model_copy(update={"calibration": {"kind": SURE, "colour": NEVER}})
    (look,) = await looked(open_eyes(sure), 1)
    assert [label.bank for label in look.labels] == ["kind"]
    (look,) = await looked(open_eyes(card.model_copy(update={"calibration": {"colour": NEVER}})), 1)
    assert (look.labels, look.text, look.reason) == ((), None, None)


async def test_worker_that_died_while_idle_is_replaced(open_eyes):
    eyes = open_eyes()
    await looked(eyes, 1)
    (pid,) = pids()
    os.kill(pid, signal.SIGKILL)
    (look,) = await looked(eyes, 2)
    assert look.labels
    assert pid not in pids()


async def test_photos_whose_worker_died_by_chance_are_tried_once_more(open_eyes):
    eyes = open_eyes(worker="die_at_first")
    assert all(look.labels for look in await looked(eyes, 1, 2, 3))
    assert eyes.failure is None


async def test_photo_that_kills_every_worker_is_given_up_alone(open_eyes):
    eyes = open_eyes()
    looks = await eyes.look([photo(1), alike(quick_eyes.DEADLY), photo(2)])
    assert [look.reason for look in looks] == [None, reasons.FAILED, None]
    assert eyes.failure is None


async def test_worker_that_always_dies_is_left_alone_for_a_while(open_eyes):
    eyes = open_eyes()
    looks = await eyes.look([alike(quick_eyes.DEADLY, width=16 + size) for size in range(4)])
    assert {look.reason for look in looks} == {reasons.FAILED, reasons.UNAVAILABLE}
    assert "3 times in a row" in eyes.failure
    (look,) = await looked(eyes, 3)
    assert look.reason == reasons.UNAVAILABLE
    assert not pids()


async def test_worker_that_hangs_is_killed_and_the_next_photo_is_seen(open_eyes):
    eyes = open_eyes(timeout_s=1.5)
    await eyes.start()
    (pid,) = pids()
    (look,) = await eyes.look([alike(quick_eyes.STUCK)])
    assert look.reason == reasons.LATE
    assert (await looked(eyes, 1))[0].labels
    assert pid not in pids()


async def test_batch_that_the_model_refuses_costs_its_captions_only(open_eyes):
    eyes = open_eyes()
    await eyes.start()
    (pid,) = pids()
    (look,) = await eyes.look([alike(quick_eyes.REFUSED)])
    assert (look.reason, look.labels) == (reasons.FAILED, ())
    assert (await looked(eyes, 1))[0].labels
    assert pids() == [pid]


async def test_caller_waits_no_longer_than_the_limit_while_the_model_loads(open_eyes):
    eyes = open_eyes(worker="serve_slowly", timeout_s=0.5)
    (look,) = await looked(eyes, 1)
    assert look.reason == reasons.LATE
    assert await eyes.start() is None
    assert eyes.ready


async def test_more_photos_than_may_wait_are_refused_at_once(open_eyes):
    looks = await looked(open_eyes(max_waiting=2), 1, 2, 3)
    assert [look.reason for look in looks] == [None, None, reasons.OVERLOADED]


@pytest.mark.parametrize(
    ("worker", "reason"),
    [("die", "the process ended"), ("babble", "the process ended"), ("hang", "within 1 s")],
)
async def test_worker_that_does_not_load_costs_the_captions_and_says_why(open_eyes, worker, reason):
    eyes = open_eyes(worker=worker, start_timeout_s=1.0)
    (look,) = await looked(eyes, 1)
    assert (look.labels, look.text, look.reason) == ((), None, reasons.UNAVAILABLE)
    assert eyes.failure.startswith("tiny-eyes: ")
    assert reason in eyes.failure
    assert not eyes.ready


async def test_weights_that_are_not_the_cards_are_not_loaded(open_eyes):
    card = open_eyes().card
    eyes = open_eyes(card.model_copy(update={"weights_sha256": dict.fromkeys(card.weights_sha256, "0" * 64)}))
    assert "sha256" in await eyes.start()
    assert [look.reason for look in await looked(eyes, 1)] == [reasons.UNAVAILABLE]
    assert not pids()


async def test_model_that_failed_is_tried_again_after_the_pause(open_eyes, tmp_path):
    card = open_eyes().card.model_copy(update={"weights": (tmp_path / "moved").as_uri()})
    eyes = open_eyes(card, pause_s=0.5)
    assert "not there" in await eyes.start()
    (tmp_path / "moved").symlink_to(tmp_path / "model")
    assert "not there" in await eyes.start()  # the pause is not over
    time.sleep(0.5)
    assert await eyes.start() is None
    assert (await looked(eyes, 1))[0].labels


async def test_close_ends_what_runs_and_refuses_what_comes(open_eyes):
    eyes = open_eyes()
    await eyes.start()
    job = asyncio.create_task(eyes.look([alike(quick_eyes.STUCK), photo(1)]))
    await asyncio.sleep(0.1)
    await eyes.close()
    assert [look.reason for look in await job] == [reasons.CLOSED] * 2
    assert [look.reason for look in await looked(eyes, 3)] == [reasons.CLOSED]
    assert not pids()


async def test_close_while_the_model_loads_leaves_no_process(open_eyes):
    eyes = open_eyes(worker="hang")
    job = asyncio.create_task(looked(eyes, 1))
    while not pids():
        await asyncio.sleep(0.01)
    await eyes.close()
    assert [look.reason for look in await job] == [reasons.CLOSED]


async def test_caller_that_gives_up_harms_no_other(open_eyes):
    eyes = open_eyes(worker="serve_slowly")
    one, other = (asyncio.create_task(looked(eyes, 1)) for _ in range(2))
    await asyncio.sleep(0.05)
    one.cancel()
    assert (await other)[0].labels


async def test_worker_gets_no_secret_of_the_environment(open_eyes, monkeypatch):
    monkeypatch.setenv("LLM_SECRET", "x")
    await open_eyes().start()
    (pid,) = pids()
    assert b"LLM_SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()
