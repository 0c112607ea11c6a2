"""Cards, deployments, locks and texts of the repository are whole and name nothing of one machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from models.card import CARDS, load_card, load_cards
from models.prompts import chat_template, prompt_versions, template_sha256
from service.deployment import load_deployment
from service.tasks import TASKS
from tests.bench import material
from tests.repo.test_house import ROOT, name_of, tracked

LOCKS = sorted((ROOT / "docker" / "locks").glob("*.txt"))
EYES = ROOT / "docker" / "locks" / "eyes.txt"  # comes beside the CPU lock, and holds what that one has not
PINNED = re.compile(r"[a-z0-9][a-z0-9._-]*(?:\[[a-z0-9,_-]+\])?==[^\s=]+(?:\s*;.+)?")
BINARY = {".png", ".jpg", ".webp", ".ico", ".gz", ".tar", ".safetensors"}
# Homes and workspaces of whoever wrote the file; what every Linux has (/tmp, /proc) is no secret.
MACHINE_PATH = re.compile(r"(?<![\w.~:/-])/(?:home|root|Users|work|workspace)/\w")


def texts() -> list[Path]:
    return [path for path in tracked() if path.suffix not in BINARY]


@pytest.mark.parametrize("name", sorted(path.stem for path in CARDS.glob("*.toml")))
def test_every_card_parses_and_has_its_prompts_and_templates(name: str) -> None:
    card = load_cards()[name]
    for task, settings in card.tasks.items():
        assert settings.template[0] == task
        assert settings.template[1] in prompt_versions()[task]
        assert template_sha256(*settings.template)
    if card.chat_template:
        assert chat_template(card.chat_template)


SECTIONS = {prompt.section for task in TASKS for prompt in task.prompts(task.example)}


@pytest.mark.parametrize("path", [path for path in tracked() if path.match("*deployment*.toml")], ids=name_of)
def test_every_deployment_parses_and_its_cards_serve_every_task(path: Path) -> None:
    cards = load_cards()
    for version in load_deployment(path).versions.values():
        assert version.card in cards, version.card
        assert cards[version.card].tasks.keys() >= SECTIONS


def test_every_task_has_a_prompt() -> None:
    assert prompt_versions().keys() == SECTIONS
    assert all(task.prompts(task.example) for task in TASKS), "an example has to warm the engine up"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_line_of_a_lock_is_one_exact_version(lock: Path) -> None:
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line]
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    assert [line for line in lines if not PINNED.fullmatch(line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert len(set(names)) == len(names)


def test_locks_hold_what_pyproject_asks_for() -> None:
    asked = names(project()["dependencies"])
    for lock in LOCKS:
        if lock != EYES:
            assert asked <= names(lock.read_text(encoding="utf-8").splitlines()), lock.name


def test_lock_of_the_eyes_holds_what_they_need_beside_the_cpu_lock_and_no_more() -> None:
    eyes, cpu = (
        names(lock.read_text(encoding="utf-8").splitlines()) for lock in (EYES, EYES.with_name("cpu.txt"))
    )
    assert names(project()["optional-dependencies"]["eyes"]) - {"torch"} <= eyes
    assert "torchvision" in eyes
    assert eyes.isdisjoint(cpu | {"torch"})


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def names(requirements: Sequence[str]) -> set[str]:
    return {re.split(r"[\[<>=~; ]", line)[0].lower() for line in requirements}


def test_no_file_names_a_path_of_one_machine() -> None:
    found = {}
    for path in texts():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if path != Path(__file__) and MACHINE_PATH.search(line):
                found[f"{name_of(path)}:{number}"] = line.strip()[:100]
    assert found == {}


def test_texts_are_utf8_with_plain_line_ends_and_a_last_newline() -> None:
    odd = []
    for path in texts():
        content = path.read_bytes()
        content.decode("utf-8")
        if b"\r" in content or (content and not content.endswith(b"\n")):
            odd.append(name_of(path))
    assert odd == []


def test_the_benchmarks_card_is_made_of_the_default_one(tmp_path: Path) -> None:
    material.write_card(tmp_path / "bench.toml")
    made, default = load_card(tmp_path / "bench.toml"), load_card("gemma3-270m")
    assert made.tasks["describe"].max_tokens == material.MAX_TOKENS
    assert made.tasks["describe"].attempts == 1
    assert {**made.tasks, "describe": None} == {**default.tasks, "describe": None}
