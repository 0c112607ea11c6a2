"""What the service adds to the time of an answer: bare engine and service, request by request in turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson

from service.engine.vllm import VllmEngine
from tests.bench import material
from tests.bench.connection import client, post
from tests.bench.load import Answer, ask_bare, ask_served
from tests.bench.report import Result, add_percentiles, percentile
from tests.bench.stage import engine_request, stage

Ask = Callable[[], Awaitable[Answer]]
FIRST_TOKEN_S, TOKEN_S = 0.02, 0.001  # a fast GPU's; the slower the engine, the less of the work shows
WARM_UP = 20


async def run(*, quick: bool) -> Result:
    """Measure short JSON answers and long streams, with the engine's pace fixed and without any."""
    result = Result(
        compared="time from asking to the end of the answer, service minus bare engine, pair by pair in "
        "turns; bare is the service's own client of the same fake engine; one request at a time"
    )
    result.details |= {"first_token_ms": 1000 * FIRST_TOKEN_S, "token_ms": 1000 * TOKEN_S}
    async with stage(precise=True) as on, client(on.service_url) as service:
        engine = VllmEngine(on.engine_url, model=on.card.name)

        def sides(params: dict[str, str], text: str, *, stream: bool) -> tuple[Ask, Ask]:
            body = material.listing(params, stream=stream)
            messages, sampling = engine_request(body, on.card)
            request = post("/describe", orjson.dumps(body))
            mark = len(material.INTRO) + 2  # the first sentence's end is known by the letter after it

            async def bare() -> Answer:
                return _checked(await ask_bare(engine, messages, sampling, mark=mark), text)

            async def served() -> Answer:
                return _checked(await ask_served(service, request), text)

            return bare, served

        for pace, (first_token_s, token_s) in {"fixed": (FIRST_TOKEN_S, TOKEN_S), "none": (0.0, 0.0)}.items():
            for name, params, text, stream, target in (
                ("JSON, short answer", material.FEW, material.SHORT, False, 2.0),
                ("stream, 31 sentences", material.PARAMS, material.LONG, True, 5.0),
            ):
                await on.play(text, first_token_s=first_token_s, token_s=token_s)
                num_pairs = 10 if quick else 300 if not stream else 150
                pairs = await _in_turns(*sides(params, text, stream=stream), num_pairs=num_pairs)
                aim = target if pace == "fixed" else None
                title = name if pace == "fixed" else f"{name}, instant engine"
                _report(result, title, pairs, stream=stream, below=aim)
        await engine.close()
    return result


async def _in_turns(bare: Ask, served: Ask, *, num_pairs: int) -> list[tuple[Answer, Answer]]:
    """Ask both sides for each pair, who is first changes: drift and warm caches cancel out."""
    pairs = []
    for index in range(-min(WARM_UP, num_pairs), num_pairs):
        if index % 2:
            right = await served()
            left = await bare()
        else:
            left = await bare()
            right = await served()
        if index >= 0:
            pairs.append((left, right))
    return pairs


def _checked(answer: Answer, text: str) -> Answer:
    if answer.error or answer.text != text:
        raise RuntimeError(f"an answer is not the engine's: {answer.error or answer.text[:200]!r}")
    return answer


def _report(
    result: Result, name: str, pairs: list[tuple[Answer, Answer]], *, stream: bool, below: float | None
) -> None:
    added = [right.total_s - left.total_s for left, right in pairs]
    add_percentiles(result, f"{name}: added", added, below=below)
    if stream:
        added = [right.first_s - left.first_s for left, right in pairs]
        add_percentiles(result, f"{name}: first sentence, added", added)
    result.details[name] = {
        "pairs": len(pairs),
        "bare_p50_ms": round(1000 * percentile([left.total_s for left, _ in pairs], 0.5), 3),
        "service_p50_ms": round(1000 * percentile([right.total_s for _, right in pairs], 0.5), 3),
        "tokens": pairs[0][0].tokens,
        "sentences": pairs[0][1].text.count(". ") + 1,
    }
