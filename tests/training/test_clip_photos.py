"""Photos of a run: which part each is in, what is never learnt, and how faults in the files are told."""

from __future__ import annotations

import gzip
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.eyes import load_banks
from tests.training.clip_material import KINDS, small_run, write_set
from training.clip.lessons import Lessons
from training.clip.photos import list_photos, part_of, read_images
from training.clip.settings import Photos
from training.errors import CorpusError


def photos_of(folder: Path) -> list[Photos]:
    write_set(folder)
    return list(small_run(folder).photos)


def test_parts_hang_on_the_name_alone_and_have_their_shares() -> None:
    names = [f"set/{number}.jpg" for number in range(5_000)]
    parts = Counter(map(part_of, names))
    assert parts["test"] / 5_000 == pytest.approx(0.20, abs=0.02)
    assert parts["calibration"] / 5_000 == pytest.approx(0.10, abs=0.02)
    assert part_of("clothing/a.jpg") == part_of("clothing/a.jpg")
    assert len({part_of(name) for name in names[:50]}) == 3


def test_more_photos_move_none_of_the_others(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for folder, photos in ((few, 8), (many, 12)):
        folder.mkdir()
        write_set(folder, photos=photos)
    before, after = (list_photos(small_run(folder).photos, data=folder) for folder in (few, many))
    parts = {photo.name: photo.part for photo in after}
    assert all(parts[photo.name] == photo.part for photo in before)


def test_what_is_held_out_is_never_learnt(tmp_path: Path) -> None:
    found = list_photos(photos_of(tmp_path), data=tmp_path)
    roles = {(photo.label, photo.role) for photo in found}
    assert {("cross", "tuned"), ("grid", "unknown"), ("bar", "taught")} <= roles
    assert {photo.part for photo in found if photo.role == "tuned"} == {"calibration"}
    assert {photo.part for photo in found if photo.role == "unknown"} == {"test"}
    assert {photo.part for photo in found if photo.role == "taught"} == {"train", "calibration", "test"}


def test_labels_that_are_not_named_are_left_out(tmp_path: Path) -> None:
    (one,) = photos_of(tmp_path)
    fewer = one.model_copy(update={"kinds": {"bar": "брюки", "disc": "футбольный мяч"}})
    assert {photo.label for photo in list_photos([fewer], data=tmp_path)} == {"bar", "disc"}


def test_pictures_come_in_the_order_asked_for(tmp_path: Path) -> None:
    sets = photos_of(tmp_path)
    found = list_photos(sets, data=tmp_path)
    sizes = [image.size for image in read_images(sets, found[::-1], data=tmp_path)]
    assert sizes == [image.size for image in read_images(sets, found, data=tmp_path)][::-1]
    assert all(image.mode == "RGB" for image in read_images(sets, found[:3], data=tmp_path))


@pytest.mark.parametrize(
    ("line", "told"),
    [("{", "shapes.jsonl.gz:1"), ('{"file": "x.png"}\n', "label"), ("[]\n", "shapes.jsonl.gz:1")],
)
def test_a_row_that_names_no_photo_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    sets = photos_of(tmp_path)
    with gzip.open(tmp_path / "shapes.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(line)
    with pytest.raises(CorpusError, match=told):
        list_photos(sets, data=tmp_path)


def test_a_photo_that_is_missing_or_broken_is_told_by_its_name(tmp_path: Path) -> None:
    sets = photos_of(tmp_path)
    found = list_photos(sets, data=tmp_path)
    with tarfile.open(tmp_path / "shapes.tar", "w") as archive:
        (tmp_path / "no.png").write_bytes(b"no picture")
        archive.add(tmp_path / "no.png", arcname=found[0].name.partition("/")[2])
    for number in (0, 1):
        with pytest.raises(CorpusError, match=found[number].name.partition("/")[2]):
            list(read_images(sets, found[number : number + 1], data=tmp_path))
    (tmp_path / "shapes.tar").unlink()
    with pytest.raises(CorpusError, match=r"shapes\.tar"):
        list(read_images(sets, found[:1], data=tmp_path))


def test_kinds_that_the_bank_does_not_have_or_that_are_taught_elsewhere_are_refused(tmp_path: Path) -> None:
    write_set(tmp_path, photos=3)
    shapes = small_run(tmp_path).photos[0].model_dump()
    for kinds, told in (
        (KINDS | {"bar": "утюг"}, "утюг"),
        (KINDS | {"grid": "брюки"}, "брюки"),
        ({"bar": "брюки", "disc": "брюки", "cross": "ножницы", "grid": "зонт"}, "fewer than two"),
    ):
        with pytest.raises(CorpusError, match=told):
            found = list_photos(
                small_run(tmp_path, photos=(shapes | {"kinds": kinds},)).photos, data=tmp_path
            )
            Lessons(found, {photo.name: None for photo in found}, banks=load_banks("goods"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tuned": ("star",)}, "no star"),
        ({"tuned": ("grid",), "unknown": ("grid",)}, "both tuned and unknown"),
    ],
)
def test_a_set_that_contradicts_itself_is_refused(changes: dict[str, object], told: str) -> None:
    content = {"name": "a", "archive": "a.tar", "rows": "a.gz", "kinds": KINDS, "licence": "x", "source": "y"}
    with pytest.raises(ValidationError, match=told):
        Photos.model_validate(content | changes)
