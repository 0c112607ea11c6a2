"""A server that serves something else than the card says is told apart, in one line for a human."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from service.engine.fake import FakeEngine
from service.engine.identity import Served, identify, mismatch
from service.engine.vllm import VllmEngine
from service.errors import EngineDown
from tests.service.openai_server import OpenAIServer

PROBE = "Продам велосипед"


def joined(ids: Sequence[int]) -> str:
    return "-".join(str(token) for token in ids)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(FakeEngine(), model="describe-1", vocab_size=32_000).running() as running:
        yield running


@pytest.fixture
async def engine(server: OpenAIServer) -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(server.url, model="describe-1", health_timeout_s=2.0)
    yield engine
    await engine.close()


async def compared(engine: VllmEngine, **wrong: object) -> str | None:
    served = await identify(engine, probe_text=PROBE)
    card = {
        "name": "describe-1",
        "vocab_size": 32_000,
        "context_length": 4096,
        "fingerprint": joined(served.probe_ids),
    }
    return await mismatch(engine, **{**card, **wrong}, probe_text=PROBE, fingerprint_of=joined)  # type: ignore[arg-type]


@pytest.mark.parametrize("told", [True, False], ids=["size told in the refusal", "size found by halving"])
async def test_the_server_tells_what_it_serves(server: OpenAIServer, engine: VllmEngine, told: bool) -> None:
    server.tells_vocab_size = told
    served = await identify(engine, probe_text=PROBE)
    assert isinstance(served, Served)
    assert (served.models, served.context_length, served.vocab_size) == (("describe-1",), 8192, 32_000)
    assert len(served.probe_ids) == 2


async def test_learning_the_identity_generates_nothing(server: OpenAIServer, engine: VllmEngine) -> None:
    await identify(engine, probe_text=PROBE)
    assert server.engine.started == 0


async def test_no_line_when_card_and_server_agree(engine: VllmEngine) -> None:
    assert await compared(engine) is None


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"name": "describe-2"}, 'serves "describe-1", the card says "describe-2"'),
        ({"vocab_size": 262_144}, "has a vocabulary of 32000 tokens, the card says 262144"),
        ({"context_length": 32_768}, "holds 8192 tokens, the card promises 32768"),
        ({"fingerprint": "0-0"}, "the card says 0-0"),
    ],
)
async def test_one_line_for_each_difference(engine: VllmEngine, wrong: dict[str, object], line: str) -> None:
    told = await compared(engine, **wrong)
    assert told is not None
    assert told.startswith(engine.url)
    assert told.endswith(line)
    assert "\n" not in told


async def test_a_server_that_is_gone_is_down_not_different(engine: VllmEngine, server: OpenAIServer) -> None:
    server.wire.status = 503
    with pytest.raises(EngineDown):
        await identify(engine, probe_text=PROBE)
