"""The contract suite over the fake, over the HTTP client with a fake server, and over a real vLLM."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from service.engine.base import Engine
from service.engine.fake import FakeEngine, Script
from service.engine.vllm import VllmEngine
from tests.contract.engine_suite import EngineContract, Rig, script
from tests.service.openai_server import OpenAIServer

SCRIPT = Script(text=script, token_s=0.002)


async def fake_rig(stack: AsyncExitStack) -> Rig:
    engine = FakeEngine(SCRIPT)
    gone = FakeEngine(SCRIPT)
    gone.go_down()

    async def num_running() -> int:
        return engine.in_flight

    return Rig(engine=engine, num_running=num_running, unreachable=gone)


async def http_rig(stack: AsyncExitStack) -> Rig:
    server = await stack.enter_async_context(OpenAIServer(FakeEngine(SCRIPT)).running())

    async def num_running() -> int:
        return server.engine.in_flight

    engine = VllmEngine(server.url, model=server.model)
    # The scripted server has no /metrics.
    return Rig(
        engine=engine, num_running=num_running, unreachable=unreachable(server.model), tells_load=False
    )


async def vllm_rig(stack: AsyncExitStack, *, url: str) -> Rig:
    session = await stack.enter_async_context(aiohttp.ClientSession())
    async with session.get(f"{url}/v1/models") as response:
        model = os.environ.get("TEST_VLLM_MODEL") or (await response.json())["data"][0]["id"]

    async def num_running() -> int:
        async with session.get(f"{url}/metrics") as response:
            metrics = await response.text()
        pattern = r"^vllm:num_requests_(?:running|waiting)\{.*\} ([\d.]+)$"
        return int(sum(float(value) for value in re.findall(pattern, metrics, re.MULTILINE)))

    return Rig(engine=VllmEngine(url, model=model), num_running=num_running, unreachable=unreachable(model))


def unreachable(model: str) -> VllmEngine:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    return VllmEngine(f"http://127.0.0.1:{port}", model=model)


def real_vllm_url(request: pytest.FixtureRequest) -> str:
    try:
        return str(request.getfixturevalue("vllm_url"))
    except pytest.FixtureLookupError:
        url = os.environ.get("TEST_VLLM_URL")
        return url or pytest.skip("no vLLM: TEST_VLLM_URL names none and no fixture starts one")


@pytest.fixture(params=["fake", "http", pytest.param("vllm", marks=pytest.mark.engine)])
def vllm_or_kind(request: pytest.FixtureRequest) -> str:
    """The kind of engine, or the URL of the real one: sync, for a fixture that may start it is sync too."""
    return real_vllm_url(request) if request.param == "vllm" else str(request.param)


@pytest.fixture
async def rig(vllm_or_kind: str) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        if vllm_or_kind == "fake":
            built = await fake_rig(stack)
        elif vllm_or_kind == "http":
            built = await http_rig(stack)
        else:
            built = await vllm_rig(stack, url=vllm_or_kind)
        stack.push_async_callback(built.unreachable.close)
        stack.push_async_callback(built.engine.close)
        yield built


@pytest.fixture
def engine(rig: Rig) -> Engine:
    return rig.engine


class TestEngine(EngineContract):
    """Collects the suite."""
