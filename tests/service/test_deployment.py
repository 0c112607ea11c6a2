"""What is wrong with settings, deployment or card is told in one line before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.card import CARDS
from service.deployment import DeploymentError, load_deployment
from service.settings import Settings
from tests.service.service_process import deployment_text, fake_url, service_process

GOOD = deployment_text("fake://")


def load(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "deployment.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    load_deployment(path)


def test_the_shipped_deployment_is_sound() -> None:
    deployment = load_deployment(Settings().deployment)
    assert deployment.default in deployment.versions
    for version in deployment.versions.values():
        assert (CARDS / f"{version.card}.toml").exists()


def test_several_versions_and_replicas(tmp_path: Path) -> None:
    more = '[versions.b]\ncard = "cards/x.toml"\nengines = ["http://h:1", "https://h:2", "local", "fake://?slots=2"]\n'
    load(tmp_path, GOOD + more)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("default = ", "not TOML"),
        (b"\xff\xfe\x00", "not TOML"),
        ("", "default"),
        ('default = "a"', "versions"),
        ('default = "a"\n[versions]\n', "versions"),
        (GOOD.replace('default = "a"', 'default = "z"'), '"z" is not among the versions'),
        (GOOD + 'cards = "x"\n', "versions.a.cards"),
        ("versoins = 1\n" + GOOD, "versoins"),
        (GOOD.replace("engines", "engine"), "versions.a.engine"),
        (GOOD.replace('["fake://"]', "[]"), "versions.a.engines"),
        (GOOD.replace('["fake://"]', '"local"'), "versions.a.engines"),
        (GOOD.replace("fake://", "ftp://h"), "ftp://h"),
        (GOOD.replace("fake://", "vllm"), '"vllm" is neither'),
        (GOOD.replace('["fake://"]', '["fake://", "fake://"]'), "twice"),
    ],
)
def test_a_faulty_deployment_is_refused_with_its_place(
    tmp_path: Path, content: str | bytes, told: str
) -> None:
    with pytest.raises(DeploymentError) as caught:
        load(tmp_path, content)
    message = str(caught.value)
    assert told in message
    assert "\n" not in message
    assert "deployment.toml" in message


@pytest.mark.parametrize("missing", ["nowhere.toml", "."])
def test_a_deployment_that_cannot_be_read_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(DeploymentError):
        load_deployment(tmp_path / missing)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("MAX_IN_FLIGHT", "0"),
        ("MAX_QUEUE", "-1"),
        ("DEFAULT_DEADLINE_S", "0"),
        ("DRAIN_GRACE_S", "-1"),
        ("MAX_BODY_BYTES", "1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("READY_MAX_AGE_S", ""),
    ],
)
def test_a_bad_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LLM_{name}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert [fault["loc"] for fault in caught.value.errors()] == [(name.lower(),)]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MAX_QUEUE", "7")
    monkeypatch.setenv("LLM_DRAIN_GRACE_S", "1.5")
    settings = Settings()
    assert (settings.max_queue, settings.drain_grace_s, settings.port) == (7, 1.5, 8000)


def card_with(tmp_path: Path, old: str, new: str) -> str:
    """Write a copy of the default card with a change; return its path."""
    text = (CARDS / "gemma3-270m.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(
        text.replace('name = "gemma3-270m"', 'name = "changed"').replace(old, new), encoding="utf-8"
    )
    return str(path)


async def refusal(tmp_path: Path, deployment: str | bytes, **environment: str) -> tuple[int, str]:
    """Start the service, which has to refuse; return the status and its one line."""
    async with service_process(tmp_path, deployment, **environment) as service:
        status = await service.ended()
        assert "Traceback" not in service.output, service.output
        (line,) = service.output.splitlines()
        return status, line


async def test_a_bad_variable_ends_with_2_and_its_name(tmp_path: Path) -> None:
    status, line = await refusal(tmp_path, GOOD, LLM_MAX_QUEUE="many")
    assert status == 2
    assert line.startswith("error: LLM_MAX_QUEUE: ")


@pytest.mark.parametrize(
    ("deployment", "told"),
    [
        (b"\xff\xfe", "not TOML"),
        (deployment_text("fake://", card="gemma3-271m"), "did you mean gemma3-270m?"),
        (deployment_text("fake://?speed=3"), "fake engine"),
    ],
    ids=["no TOML", "unknown card", "unknown option"],
)
async def test_a_faulty_deployment_ends_with_1_and_one_line(
    tmp_path: Path, deployment: str | bytes, told: str
) -> None:
    status, line = await refusal(tmp_path, deployment)
    assert status == 1
    assert line.startswith("error: ")
    assert told in line


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[tasks.describe]", "[tasks.summarize]", "describe"),
        ('prompt = "describe.v2"', 'prompt = "describe.v99"', "describe.v99"),
        ('git_sha = "unknown"', 'git_sha = "unknown"\nlicense = "MIT"', "licence"),
    ],
    ids=["no settings for a task", "unknown prompt", "unknown key"],
)
async def test_a_card_that_cannot_serve_ends_with_1_and_one_line(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    status, line = await refusal(tmp_path, deployment_text("fake://", card=card_with(tmp_path, old, new)))
    assert status == 1
    assert line.startswith("error: ")
    assert told in line


async def test_a_port_in_use_is_told_and_ends_the_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with service_process(tmp_path, GOOD, LLM_PORT=str(port)) as service:
            assert await service.ended() != 0
            assert "Address already in use" in service.output
            assert "Traceback" not in service.output


async def test_help_names_the_commands(tmp_path: Path) -> None:
    async with service_process(tmp_path, GOOD, arguments=("--help",)) as service:
        assert await service.ended() == 0
        assert "serve" in service.output
        assert "Traceback" not in service.output


async def test_two_versions_serve_side_by_side(tmp_path: Path) -> None:
    second = f'[versions.b]\ncard = "gemma3-270m"\nengines = ["{fake_url(slots=1)}", "{fake_url(slots=2)}"]\n'
    async with service_process(tmp_path, GOOD + second) as service:
        await service.says("running on")
        live = [event["model_version"] for event in service.events if event["event"] == "version is live"]
        assert live == ["a", "b"]
