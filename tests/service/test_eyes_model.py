"""The eyes with the real worker and the real open_clip, on a small model with random weights."""

import os
import signal

import pytest

from service import eyes as reasons
from tests.service import eyes_material as material
from tests.service.eyes_material import BANKS, card_of, opened, photo
from tests.service.processes import children


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return material.make_model(tmp_path_factory.mktemp("eyes") / "model")


@pytest.fixture
async def open_eyes(tmp_path):
    """Make eyes; all are closed with the test, and leave no process."""
    made = []

    def make(card):
        made.append(opened(card, cache=tmp_path / "cache"))
        return made[-1]

    yield make
    for eyes in made:
        await eyes.close()
    assert not pids()


def pids():
    return children(os.getpid(), command="service.looking")


async def test_labels_are_those_of_bare_open_clip_even_after_a_crash(open_eyes, folder):
    photos = [photo(1), photo(2, width=64, height=33), photo(3, width=33, height=80), photo(4)]
    eyes = open_eyes(card_of(folder))
    looks = await eyes.look(photos[:3])
    (pid,) = pids()
    os.kill(pid, signal.SIGKILL)
    looks += await eyes.look(photos[3:])
    names = [name for bank in BANKS.banks.values() for name in bank.items]
    for one, look, row in zip(photos, looks, material.bare_cosines(folder, photos), strict=True):
        assert list(eyes._kept[one.sha256]) == pytest.approx(row, abs=1e-5)
        best = [max(range(4), key=row.__getitem__), max(range(4, 7), key=row.__getitem__)]
        assert [label.name for label in look.labels] == [names[index] for index in best]
        assert look.text.split()[-1] == look.labels[0].name


async def test_model_that_open_clip_cannot_load_costs_the_captions_and_says_why(open_eyes, folder, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    (broken / "open_clip_model.safetensors").write_bytes(b"no weights")
    eyes = open_eyes(card_of(broken))
    (look,) = await eyes.look([photo(1)])
    assert (look.labels, look.text, look.reason) == ((), None, reasons.UNAVAILABLE)
    assert "header" in eyes.failure
    assert not pids()


def test_text_matrix_is_kept_belongs_to_weights_and_texts_and_may_be_damaged(folder, tmp_path):
    same = {"identity": "a", "texts": [["синий"], ["красный", "алый"]]}
    other = {**same, "texts": [["синий"], ["красный"]]}
    jobs = [same, same, {**same, "identity": "b"}, other, {**same, "damaged": True}]
    rows, made = material.matrices(folder, jobs, cache=tmp_path / "cache")
    assert [len(names) for names in made] == [1, 1, 2, 3, 3]
    assert rows[0] == rows[1] == rows[2] == rows[4] != rows[3]
    assert rows[0][0] == rows[3][0]


def test_disk_that_takes_no_matrix_costs_time_only(folder, tmp_path):
    (tmp_path / "taken").write_text("a file where the cache should be")
    job = {"identity": "a", "texts": [["синий"], ["красный"]]}
    rows, made = material.matrices(folder, [job, job], cache=tmp_path / "taken")
    assert rows[0] == rows[1]
    assert made == [[], []]
