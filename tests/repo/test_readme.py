"""What the README tells to type works: every command is run, or held against what exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.service_process import ROOT, deployment_text, service_process

README = ROOT / "README.md"
BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Commands of an ordinary machine that prove nothing about this repository.
ELSEWHERE = {"git", "cd", "cat", "export", "docker", "kubectl", "open", "less", "tail", "source", "jq"}


def commands() -> list[str]:
    """Return the README's commands: continued lines joined, prompts and comments removed."""
    if not README.exists():
        return []
    found = []
    for block in BLOCK.findall(README.read_text(encoding="utf-8")):
        prompted = any(line.startswith("$ ") for line in block.splitlines())
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            if (prompted and not line.startswith("$ ")) or line.lstrip().startswith("#"):
                continue  # what a command printed, or a remark
            if command := line.removeprefix("$ ").strip():
                found.append(command)
    return found


def words_of(command: str) -> list[str]:
    """Split a command into words, without variables in front, redirections, pipes and what follows them."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    for number, word in enumerate(words):
        if word in {"|", "&&", ";", "&", ">", "2>"}:
            return words[:number]
    return words


def commands_of(*programs: str) -> list[str]:
    """Return the commands of some programs, by the program's file name."""
    return [one for one in commands() if (words := words_of(one)) and Path(words[0]).name in programs]


pytestmark = pytest.mark.skipif(not README.exists(), reason="there is no README.md")


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A running service with a scripted engine, in place of the one on port 8000."""
    async with service_process(tmp_path, deployment_text("fake://")) as service:
        await service.says("running on")
        yield service.url


def test_every_command_is_of_a_known_kind() -> None:
    programs = {Path(words_of(command)[0]).name for command in commands() if words_of(command)}
    assert commands(), "a README without commands"
    assert programs <= {"make", "curl", "python", "python3", "python3.11", *ELSEWHERE}


@pytest.mark.parametrize("command", commands_of("make") or ["make"])
def test_make_knows_the_target(command: str) -> None:
    arguments = [word for word in words_of(command)[1:] if not word.startswith("-")]
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", commands_of("python", "python3", "python3.11"))
def test_python_modules_and_their_subcommands_exist(command: str) -> None:
    _, flag, module, *arguments = words_of(command)
    assert flag == "-m", "the README starts modules only"
    if module == "venv":
        return
    subcommand = [word for word in arguments[:1] if re.fullmatch(r"[a-z][a-z-]*", word)]
    run = [sys.executable, "-m", module, *subcommand, "--help"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [one for one in commands_of("python") if " -m training " in one])
def test_training_commands_do_what_they_say(command: str, tmp_path: Path) -> None:
    words = words_of(command)[1:]
    if words[2] == "run":
        words += ["--out", str(tmp_path)]
        if "--dry-run" not in words and "--until" not in words:
            words += ["--until", "embeddings"]  # tests/contract/test_handover.py runs it whole
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5
    if words[2] == "run" and "--dry-run" not in words:
        assert (tmp_path / "tiny" / "embeddings" / "model.safetensors").is_file()
        assert "Traceback" not in done.stderr


async def test_curl_is_answered(url: str) -> None:
    for command in commands_of("curl"):
        replaced = re.sub(r"(?:http://)?(?:127\.0\.0\.1|localhost):8000", url, command)
        words = [*words_of(replaced), "--silent", "--show-error", "--fail", "--max-time", "20"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}{done.stdout}"
        assert done.stdout


def test_links_inside_the_repository_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", README.read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target
