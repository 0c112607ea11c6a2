"""A version goes live only when its engines answer and serve what its card says."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from models.card import CARDS, TOKENIZER_PROBE, CardError, fingerprint
from service.call import Version
from service.deployment import load_deployment
from service.engine.fake import FakeEngine, Script
from service.engine.replicas import Replicas
from service.errors import EngineDown
from service.settings import Settings
from service.telemetry import Metrics
from service.versions import VersionError, bring_up
from tests.service.openai_server import OpenAIServer
from tests.service.service_process import deployment_text, service_process

VOCAB_SIZE = 1000
PROBE_IDS = [zlib.crc32(word.encode()) % VOCAB_SIZE for word in TOKENIZER_PROBE.split()]


def write_card(folder: Path, **changes: object) -> Path:
    """Write the card of what OpenAIServer serves by default, with some values changed."""
    values = {
        "vocab_size": VOCAB_SIZE,
        "context_length": 8192,
        "tokenizer_fingerprint": fingerprint(PROBE_IDS),
        **changes,
    }
    lines = (CARDS / "gemma3-270m.toml").read_text(encoding="utf-8").splitlines()
    head = [line for line in lines if line.partition(" =")[0] not in {"name", *values}]
    stated = [f"{name} = {value!r}" for name, value in {"name": "remote", **values}.items()]
    path = folder / "remote.toml"
    path.write_text("\n".join([*stated, *head]), encoding="utf-8")
    return path


@asynccontextmanager
async def remote(**attributes: object) -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(FakeEngine(Script(text="да")), model="remote", vocab_size=VOCAB_SIZE)
    for name, value in attributes.items():
        setattr(server, name, value)
    async with server.running():
        yield server


async def raised(
    tmp_path: Path, text: str, *, metrics: Metrics | None = None, **settings: float
) -> dict[str, Version]:
    path = tmp_path / "deployment.toml"
    path.write_text(text, encoding="utf-8")
    return await bring_up(load_deployment(path), settings=Settings(**settings), metrics=metrics or Metrics())


async def refused(tmp_path: Path, text: str, **settings: float) -> str:
    with pytest.raises(VersionError) as caught:
        await raised(tmp_path, text, **settings)
    message = str(caught.value)
    assert message.startswith("version a: ")
    assert "\n" not in message
    return message


async def test_a_remote_engine_that_serves_the_card_goes_live(tmp_path: Path) -> None:
    async with remote() as server:
        text = deployment_text(server.url, card=str(write_card(tmp_path)))
        metrics = Metrics()
        versions = await raised(tmp_path, text, metrics=metrics)
        await versions["a"].engine.health()
        await versions["a"].engine.close()
        labels = {"model_version": "a", "card": "remote", "git_sha": "unknown"}
        (info,) = [s for family in metrics.info.collect() for s in family.samples if s.value == 1]
        assert labels.items() <= info.labels.items()


@pytest.mark.parametrize(
    ("attributes", "changes", "told"),
    [
        ({"model": "other"}, {}, ('"other"', '"remote"')),
        ({"context_length": 4096}, {}, ("4096", "8192")),
        ({}, {"vocab_size": 2000}, ("1000", "2000")),
        ({"tells_vocab_size": False}, {"vocab_size": 999}, ("1000", "999")),
        ({}, {"tokenizer_fingerprint": "0" * 64}, ("tokenizer", "0" * 64)),
    ],
    ids=["name", "context", "vocabulary", "vocabulary, untold", "tokenizer"],
)
async def test_an_engine_that_does_not_serve_the_card_is_refused_by_the_difference(
    tmp_path: Path, attributes: dict[str, object], changes: dict[str, object], told: tuple[str, str]
) -> None:
    async with remote(**attributes) as server:
        text = deployment_text(server.url, card=str(write_card(tmp_path, **changes)))
        message = await refused(tmp_path, text)
    assert server.url in message
    assert all(part in message for part in told)


async def test_more_context_than_the_card_promises_is_no_fault(tmp_path: Path) -> None:
    async with remote(context_length=32768) as server:
        versions = await raised(tmp_path, deployment_text(server.url, card=str(write_card(tmp_path))))
        await versions["a"].engine.close()


async def test_one_wrong_replica_of_two_is_enough_to_refuse(tmp_path: Path) -> None:
    async with remote() as good, remote(model="other") as wrong:
        text = deployment_text(good.url, wrong.url, card=str(write_card(tmp_path)))
        assert wrong.url in await refused(tmp_path, text)


async def test_an_engine_that_comes_up_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.versions.RETRY_S", 0.05)
    async with remote() as server:
        server.wire.status = 503
        text = deployment_text(server.url, card=str(write_card(tmp_path)))
        starting = asyncio.create_task(raised(tmp_path, text))
        await asyncio.sleep(0.2)
        assert not starting.done()
        server.wire.status = None
        versions = await asyncio.wait_for(starting, 2)
        await versions["a"].engine.close()


async def test_an_engine_that_never_comes_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.versions.RETRY_S", 0.05)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        text = deployment_text(url, card=str(write_card(tmp_path)))
        message = await refused(tmp_path, text, start_timeout_s=0.2)
    assert url in message
    assert "cannot be reached" in message


async def test_a_server_of_another_kind_is_refused(tmp_path: Path) -> None:
    async with remote() as server:
        text = deployment_text(f"{server.url}/elsewhere", card=str(write_card(tmp_path)))
        assert "404" in await refused(tmp_path, text)


async def test_several_engines_are_replicas_of_one_version(tmp_path: Path) -> None:
    versions = await raised(tmp_path, deployment_text("fake://?slots=1", "fake://?slots=2"))
    assert isinstance(versions["a"].engine, Replicas)


async def test_places_are_the_settings_for_each_version(tmp_path: Path) -> None:
    second = '[versions.b]\ncard = "gemma3-270m"\nengines = ["fake://"]\n'
    text = deployment_text("fake://") + second
    versions = await raised(tmp_path, text, max_in_flight=3, max_queue=4)
    assert {(version.gate.limit, version.gate.queue) for version in versions.values()} == {(3, 4)}
    assert versions["a"].gate is not versions["b"].gate


async def test_when_a_later_version_fails_the_earlier_are_closed(tmp_path: Path) -> None:
    async with remote() as server:
        first = deployment_text(server.url, card=str(write_card(tmp_path)))
        second = '[versions.b]\ncard = "no-such-card"\nengines = ["fake://"]\n'
        with pytest.raises(CardError):
            await raised(tmp_path, first + second)
        # An unclosed session would be a ResourceWarning, which is an error here.


async def test_the_start_ends_with_one_line_that_names_the_difference(tmp_path: Path) -> None:
    async with remote(model="other") as server:
        deployment = deployment_text(server.url, card=str(write_card(tmp_path)))
        async with service_process(tmp_path, deployment) as service:
            assert await service.ended() == 1
            (line,) = service.output.splitlines()
            assert line == f'error: version a: {server.url} serves "other", the card says "remote"'


async def test_a_live_remote_version_answers(tmp_path: Path) -> None:
    """The whole way once: HTTP, runner, client of vLLM's dialect, wire."""
    async with remote() as server:
        server.engine.script = Script(text="В продаже велосипед.")
        deployment = deployment_text(server.url, card=str(write_card(tmp_path)))
        async with service_process(tmp_path, deployment) as service, aiohttp.ClientSession() as session:
            await service.says("running on")
            async with session.post(f"{service.url}/describe", json={"title": "Велосипед"}) as response:
                body = await response.json()
            assert (body["description"], body["finish"]) == ("В продаже велосипед.", "stop")
            assert server.requests[-1]["model"] == "remote"
            assert server.headers[-1]["X-Request-Id"] == response.headers["X-Request-Id"]
            service.process.terminate()
            assert await service.ended() == 0


async def test_a_closed_version_is_down(tmp_path: Path) -> None:
    versions = await raised(tmp_path, deployment_text("fake://"))
    await versions["a"].engine.close()
    with pytest.raises(EngineDown):
        await versions["a"].engine.health()
