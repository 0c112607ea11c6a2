"""Whether 256 streams at once all arrive, complete and to the letter."""

from __future__ import annotations

from collections import Counter

import orjson

from tests.bench import material
from tests.bench.connection import client, post
from tests.bench.load import Answer, ask_served, in_parallel
from tests.bench.report import Result, add_percentiles
from tests.bench.stage import stage

NUM_STREAMS = 256
FIRST_TOKEN_S, TOKEN_S = 0.2, 0.02  # 50 tokens/s a stream, 12,800 in all


async def run(*, quick: bool) -> Result:
    """Hold the streams open for several answers each."""
    rounds = 1 if quick else 4
    num_streams = 32 if quick else NUM_STREAMS
    num_tokens = len(material.tokens(material.LONG))
    result = Result(
        compared=f"{num_streams} streams at once, {rounds} answers each of {num_tokens} tokens at "
        f"{1 / TOKEN_S:.0f} tokens/s; an answer is right if its events end with done and its text "
        "is the engine's"
    )
    request = post("/describe", orjson.dumps(material.listing(material.PARAMS, stream=True)))
    async with stage(max_in_flight=NUM_STREAMS) as on, client(on.service_url) as service:
        await on.play(material.LONG, first_token_s=FIRST_TOKEN_S, token_s=TOKEN_S)

        async def ask(_: int) -> Answer:
            return await ask_served(service, request)

        cpu = on.service_cpu_s()
        answers = await in_parallel(ask, range(rounds * num_streams), num_workers=num_streams)
        cpu = on.service_cpu_s() - cpu
    errors = Counter(answer.error for answer in answers if answer.error)
    different = sum(not answer.error and answer.text != material.LONG for answer in answers)
    result.add("answers", len(answers), "")
    result.add("errors", errors.total(), "", below=1)
    result.add("texts that differ from the engine's", different, "", below=1)
    add_percentiles(result, "first sentence", [answer.first_s for answer in answers])
    add_percentiles(result, "whole answer", [answer.total_s for answer in answers])
    ideal_s = FIRST_TOKEN_S + TOKEN_S * (num_tokens - 1)
    result.add("whole answer by the engine's pace", 1000 * ideal_s, "ms")
    result.details = {"errors": dict(errors), "service_cpu_s": round(cpu, 2)}
    return result
