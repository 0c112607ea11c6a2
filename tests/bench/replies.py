"""POST /suggest-replies on the real engine: time of three replies, one and four at once, and their source."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from tests.bench.connection import Client, client, post
from tests.bench.judging import Index
from tests.bench.load import in_parallel
from tests.bench.measures import add_answers, plain, words
from tests.bench.report import Result, percentile
from tests.bench.stage import default_card, real_service

THREADS = Path(__file__).with_name("threads.jsonl")
CONCURRENCY = (1, 4)
TARGET_S = 1.0  # p95 on a GPU; on a CPU the figure is there to be known
SHOWN = 10
SEED = 1
ALIKE = 0.6  # of their words
REPEATS = 2  # of the whole set, at each concurrency


async def run(*, quick: bool) -> Result:
    """Answer the hand-written chats one at a time and four at once."""
    bodies = [{**json.loads(line), "count": 3} for line in THREADS.read_text(encoding="utf-8").splitlines()]
    bodies = bodies[::5] if quick else bodies
    result = Result(
        compared=f"{default_card()} behind POST /suggest-replies; {len(bodies)} hand-written chats, "
        f"three replies each, {REPEATS} times; latencies of chats that got replies, shares of the first round"
    )
    answers: list[tuple[dict[str, Any], dict[str, Any]]] = []
    async with real_service() as url, client(url) as served:
        await in_parallel(_ask(served, []), bodies[:4], num_workers=1)  # the prefixes of the prompts
        for concurrency in CONCURRENCY:
            told: list[tuple[dict[str, Any], dict[str, Any], float]] = []
            repeated = list(itertools.chain(*[bodies] * (1 if quick else REPEATS)))
            await in_parallel(_ask(served, told), repeated, num_workers=concurrency)
            times = [seconds for _, reply, seconds in told if reply["suggestions"]]
            name = f"{concurrency} at once"
            result.add(f"{name}: three replies p50", percentile(times, 0.5), "s")
            result.add(f"{name}: three replies p95", percentile(times, 0.95), "s", below=TARGET_S)
            answers = answers or [(body, reply) for body, reply, _ in told[: len(bodies)]]
    _add_shares(result, [reply for _, reply in answers])
    _add_faults(result, answers)
    result.details["examples"] = _examples(answers)
    return result


def _ask(served: Client, told: list[tuple[dict[str, Any], dict[str, Any], float]]) -> Any:
    async def ask(body: dict[str, Any]) -> None:
        reply = await served.ask(post("/suggest-replies", orjson.dumps(body)))
        if reply.status != 200:
            raise RuntimeError(f"an answer failed: status {reply.status}")
        told.append((body, orjson.loads(reply.body), reply.total_s))

    return ask


def _add_shares(result: Result, replies: list[dict[str, Any]]) -> None:
    """Add who wrote the replies and how often there are none."""
    sources = Counter(one["source"] for reply in replies for one in reply["suggestions"])
    open_chats = [reply for reply in replies if reply["abstained"] is None]
    result.add("replies by the model", 100 * sources["model"] / max(1, sources.total()), "%")
    result.add("chats with a reply by the model", 100 * _with_model(open_chats), "%")
    result.add("chats abstained from", 100 * (1 - len(open_chats) / len(replies)), "%")
    result.details["abstained"] = Counter(reply["abstained"] for reply in replies if reply["abstained"])
    result.details["sources"] = sources


def _add_faults(result: Result, answers: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Add replies that are alike, and those with a number or a Latin name that nobody has mentioned."""
    alike, invented = [], []
    for body, reply in answers:
        texts = [one["text"] for one in reply["suggestions"]]
        pairs = itertools.combinations([set(plain(text).split()) for text in texts], 2)
        alike += [len(one & other) > ALIKE * len(one | other) for one, other in pairs]
        said = Index.of(json.dumps(body, ensure_ascii=False))
        for text in texts:
            hard = [word for word in words(plain(text)) if word.kind in ("number", "latin")]
            invented.append(any(not said.says(word) for word in hard))
    add_answers(result, "pairs of replies with most words in common", alike, below=1)
    add_answers(result, "replies with a number or Latin name nobody mentioned", invented, below=1)


def _with_model(replies: list[dict[str, Any]]) -> float:
    helped = sum(any(one["source"] == "model" for one in reply["suggestions"]) for reply in replies)
    return helped / max(1, len(replies))


def _examples(answers: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, Any]]:
    """Print some chats with their replies, for a person to judge, and return them."""
    shown = random.Random(SEED).sample(answers, min(SHOWN, len(answers)))
    examples = []
    for body, reply in shown:
        last = body["messages"][-1]["text"] if body["messages"] else ""
        told = [f"{one['text']} [{one['intent']}, {one['source']}]" for one in reply["suggestions"]]
        print(f"  {body['role']}: {body['listing']['title']} | {last}")
        print("".join(f"    - {line}\n" for line in told or [f"({reply['abstained']})"]), end="")
        examples.append({"title": body["listing"]["title"], "last": last, "suggestions": told})
    return examples
