"""An engine of our own is started, watched, restarted and gone with us; a stub plays the server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from models.card import CARDS, Card, load_card
from service.engine.base import Message, Sampling
from service.engine.command import vllm_command, vllm_environment
from service.engine.local import EngineStartError, LocalEngine
from service.errors import EngineDown
from tests.service.live_service import becomes
from tests.service.processes import children, leashes, members, wait_until
from tests.service.service_process import ROOT

MESSAGES: list[Message] = [{"role": "user", "content": "опиши велосипед"}]
TOKENIZER = b"{}"
OWNER = """
import asyncio, sys
from pathlib import Path
from tests.service.test_local_engine import Bench
async def main():
    await Bench(Path(sys.argv[1])).engine.start(timeout_s=20)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def write_card(folder: Path, *, tokenizer: bytes = TOKENIZER) -> Path:
    """Write a card whose weights are a folder on this machine; only its tokenizer is looked at."""
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)
    (weights / "tokenizer.json").write_bytes(TOKENIZER)
    digest = hashlib.sha256(tokenizer).hexdigest()
    changes = {
        "name": '"local"',
        "format": '"hf"',
        "weights": f'"file://{weights}"',
        "tokenizer_sha256": f'"{digest}"',
        '"gemma-3-270m-q4_k_m.gguf"': None,
    }
    lines = []
    for line in (CARDS / "gemma3-270m.toml").read_text(encoding="utf-8").splitlines():
        key = line.partition(" = ")[0]
        lines.append(f"{key} = {changes[key]}" if changes.get(key) else line if key not in changes else "")
    text = "\n".join(lines).replace(
        "[weights_sha256]", f'[weights_sha256]\n"tokenizer.json" = "{hashlib.sha256(TOKENIZER).hexdigest()}"'
    )
    path = folder / "local.toml"
    path.write_text(text, encoding="utf-8")
    return path


class Bench:
    """A LocalEngine whose server plays what the `mode` file says at each start."""

    def __init__(
        self,
        folder: Path,
        *,
        mode: str | None = None,
        tokenizer: bytes = TOKENIZER,
        hang_s: float = 60.0,
    ) -> None:
        path = write_card(folder, tokenizer=tokenizer)
        self.mode = folder / "mode"
        if mode:
            self.mode.write_text(mode)
        self.restarts = 0
        self.engine = LocalEngine(
            load_card(path),
            card_source=str(path),
            cache=folder / "cache",
            on_restart=self._count,
            command=self._command,
            check_s=0.2,
            hang_s=hang_s,
        )

    def _count(self) -> None:
        self.restarts += 1

    def _command(self, card: Card, *, folder: Path, port: int) -> list[str]:
        assert (folder / "tokenizer.json").exists()
        return [sys.executable, "-m", "tests.service.stub_server", str(port), card.name, str(self.mode)]


Build = Callable[..., Bench]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Build benches whose engines are closed at the end; then no process is left."""
    benches: list[Bench] = []

    def one(**options: object) -> Bench:
        benches.append(Bench(tmp_path, **options))
        return benches[-1]

    yield one
    for bench in benches:
        await bench.engine.close()
    assert leashes() == []


async def collect(engine: LocalEngine, *, max_tokens: int) -> str:
    answer = engine.generate(MESSAGES, sampling=Sampling(max_tokens=max_tokens), request_id="r")
    async with aclosing(answer) as deltas:
        return "".join([delta.text async for delta in deltas])


def server_of(leash: int) -> int:
    (server,) = children(leash, command="stub_server")
    return server


async def healthy(engine: LocalEngine, *, within_s: float = 20.0) -> None:
    begun = time.monotonic()
    while True:
        try:
            return await engine.health()
        except EngineDown:
            assert time.monotonic() - begun < within_s, "did not come back"
            await asyncio.sleep(0.05)


async def test_a_started_engine_answers_and_a_closed_one_leaves_nothing(build: Build) -> None:
    bench = build(mode="worker")
    with pytest.raises(EngineDown):
        await bench.engine.health()
    await bench.engine.start(timeout_s=20)
    await bench.engine.health()
    assert await collect(bench.engine, max_tokens=5) == "да"
    (leash,) = leashes()
    assert any("sleep 600" in command for command in members(leash).values())
    log = bench.engine.log_path.read_text()
    assert "stub: serving local" in log
    assert f"-m tests.service.stub_server {bench.engine.client.url.rpartition(':')[2]} local" in log
    await bench.engine.close()
    await becomes(lambda: not members(leash))
    with pytest.raises(EngineDown):
        await bench.engine.health()


async def test_an_engine_killed_in_mid_answer_comes_back_by_itself(build: Build) -> None:
    bench = build(mode="serve")
    await bench.engine.start(timeout_s=20)
    (leash,) = leashes()
    answer = bench.engine.generate(MESSAGES, sampling=Sampling(max_tokens=400), request_id="r")
    async with aclosing(answer) as deltas:
        await anext(deltas)
        os.kill(server_of(leash), signal.SIGKILL)
        with pytest.raises(EngineDown) as caught:
            async for _ in deltas:
                pass
    assert caught.value.started
    await becomes(lambda: not members(leash))
    await becomes(lambda: bench.restarts == 1)
    with pytest.raises(EngineDown) as caught:
        await collect(bench.engine, max_tokens=5)
    assert not caught.value.started
    await healthy(bench.engine)
    assert await collect(bench.engine, max_tokens=3) == "да да да"
    assert leashes() != [leash]


async def test_an_engine_that_lives_but_gives_no_token_is_started_anew(build: Build) -> None:
    bench = build(mode="serve", hang_s=1.0)
    await bench.engine.start(timeout_s=20)
    (leash,) = leashes()
    stopped = server_of(leash)
    os.kill(stopped, signal.SIGSTOP)
    await becomes(lambda: bench.restarts == 1, within_s=15)
    await healthy(bench.engine)
    (leash,) = leashes()
    assert server_of(leash) != stopped


async def test_an_engine_that_fails_to_come_back_is_tried_again(build: Build) -> None:
    bench = build(mode="worker")
    await bench.engine.start(timeout_s=20)
    bench.mode.write_text("die")
    os.kill(server_of(leashes()[0]), signal.SIGKILL)
    await becomes(lambda: bench.restarts == 2, within_s=15)
    bench.mode.write_text("worker")
    await healthy(bench.engine)


async def test_a_server_that_ends_at_the_start_is_told_with_its_words_and_its_log(build: Build) -> None:
    bench = build(mode="die")
    with pytest.raises(EngineStartError) as caught:
        await bench.engine.start(timeout_s=20)
    message = str(caught.value)
    assert "RuntimeError: no memory for the weights" in message
    assert str(bench.engine.log_path) in message
    assert "\n" not in message
    assert leashes() == []


async def test_a_server_that_gives_no_token_in_time_is_ended(build: Build) -> None:
    bench = build(mode="silent")
    with pytest.raises(EngineStartError, match="no token within 2 s"):
        await bench.engine.start(timeout_s=2)
    assert leashes() == []


async def test_weights_that_take_too_long_are_told_in_one_line(build: Build) -> None:
    with pytest.raises(EngineStartError, match=r"within 0\.05 s"):
        await build(mode="serve").engine.start(timeout_s=0.05)


async def test_a_start_that_is_cancelled_leaves_nothing(build: Build) -> None:
    bench = build(mode="silent")
    starting = asyncio.create_task(bench.engine.start(timeout_s=20))
    await becomes(lambda: bool(leashes()), within_s=10)
    (leash,) = leashes()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await becomes(lambda: not members(leash))


async def test_another_tokenizer_than_the_cards_does_not_start(
    build: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = build(mode="serve", tokenizer=b"another")
    with pytest.raises(EngineStartError, match="weights of local"):
        await bench.engine.start(timeout_s=20)
    (line,) = capfd.readouterr().err.splitlines()
    assert "tokenizer.json has sha256" in line


async def test_a_log_that_grew_large_is_put_aside(build: Build) -> None:
    bench = build(mode="worker")
    bench.engine.log_path.parent.mkdir(parents=True)
    bench.engine.log_path.write_bytes(b"x" * (20 * 2**20 + 1))
    await bench.engine.start(timeout_s=20)
    assert bench.engine.log_path.stat().st_size < 10_000
    assert bench.engine.log_path.with_suffix(".1.log").stat().st_size > 20 * 2**20


def test_nothing_survives_a_service_that_is_killed(tmp_path: Path) -> None:
    Bench(tmp_path, mode="worker")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        assert "ready\n" in owner.stdout
        (leash,) = leashes(owner.pid)
        assert len(members(leash)) == 3
        owner.kill()
        wait_until(lambda: not members(leash))
    finally:
        owner.kill()
        owner.communicate()


def test_vllm_is_told_what_the_card_says(tmp_path: Path) -> None:
    card = load_card("gemma3-270m")
    command = vllm_command(card, folder=tmp_path, port=4321)
    assert command[:3] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    told = dict(pairwise(command))
    assert told["--model"] == str(tmp_path)
    assert told["--served-model-name"] == card.name
    assert told["--max-model-len"] == str(card.context_length)
    assert (told["--host"], told["--port"]) == ("127.0.0.1", "4321")
    assert told["--scheduling-policy"] == "priority", "the canary goes before the queue"
    assert Path(told["--chat-template"]).read_text(encoding="utf-8")


def test_a_card_without_a_chat_template_uses_the_tokenizers(tmp_path: Path) -> None:
    card = load_card("gemma3-270m").model_copy(update={"chat_template": None})
    assert "--chat-template" not in vllm_command(card, folder=tmp_path, port=1)


def test_a_persons_own_words_come_last_and_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ENGINE_ARGS", "--max-model-len 2048 --enforce-eager")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    command = vllm_command(load_card("gemma3-270m"), folder=tmp_path, port=1)
    assert command[-3:] == ["--max-model-len", "2048", "--enforce-eager"]
    assert vllm_environment()["VLLM_CPU_KVCACHE_SPACE"] == "7"


def test_the_engine_is_offline_silent_and_may_keep_byte_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    environment = vllm_environment()
    assert environment["HF_HUB_OFFLINE"] == environment["VLLM_NO_USAGE_STATS"] == "1"
    assert "PYTHONDONTWRITEBYTECODE" not in environment
