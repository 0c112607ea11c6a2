"""What a vLLM server really serves, asked of the server itself and held against what a card says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.engine.vllm import VllmEngine
from service.engine.wire import failure
from service.errors import EngineDown

_VOCAB_LIMIT = 2**24  # no known vocabulary comes near: 262,144 is the largest in use
_TOLD_VOCAB = re.compile(r"Vocabulary size: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The identity of a running server; `probe_ids` are the tokens of the probe text, no special ones added.

    `vocab_size` is the width of the model's output (`vocab_size` of its config.json): rows added to reach
    a round number count, so it may exceed the tokenizer's.
    """

    models: tuple[str, ...]
    context_length: int
    vocab_size: int
    probe_ids: tuple[int, ...]


async def identify(engine: VllmEngine, *, probe_text: str) -> Served:
    """Ask the server behind `engine` what it serves; needs none of vLLM's optional flags."""
    models = tuple(entry["id"] for entry in (await _demand(engine, "/v1/models", body=None))["data"])
    probe = {"prompt": probe_text, "add_special_tokens": False}
    tokens = await _demand(engine, "/tokenize", body=probe)
    return Served(
        models=models,
        context_length=tokens["max_model_len"],
        vocab_size=await _vocab_size(engine),
        probe_ids=tuple(tokens["tokens"]),
    )


async def mismatch(
    engine: VllmEngine,
    *,
    name: str,
    vocab_size: int,
    context_length: int,
    fingerprint: str,
    probe_text: str,
    fingerprint_of: Callable[[Sequence[int]], str],
) -> str | None:
    """Return one line that says how the server differs from the card, or None if it serves the card.

    More context than the card promises is no fault. Raises `EngineError` if the server does not answer.
    """
    served = await identify(engine, probe_text=probe_text)
    if name not in served.models:
        names = ", ".join(f'"{model}"' for model in served.models)
        return f'{engine.url} serves {names}, the card says "{name}"'
    if served.context_length < context_length:
        return f"{engine.url} holds {served.context_length} tokens, the card promises {context_length}"
    if served.vocab_size != vocab_size:
        return f"{engine.url} has a vocabulary of {served.vocab_size} tokens, the card says {vocab_size}"
    served_fingerprint = fingerprint_of(served.probe_ids)
    if served_fingerprint != fingerprint:
        return f"{engine.url} has the tokenizer {served_fingerprint}, the card says {fingerprint}"
    return None


async def _demand(engine: VllmEngine, path: str, *, body: dict[str, Any] | None) -> Any:
    status, answer = await engine.ask(path, body=body)
    if status != 200:
        raise failure(status, answer)
    if not isinstance(answer, dict):
        raise EngineDown(f"The engine answered {path} with something that is no JSON object")
    return answer


async def _vocab_size(engine: VllmEngine) -> int:
    """Learn the vocabulary's size from which token ids the server takes as keys of `logit_bias`.

    vLLM names the size when it refuses an id beyond it: one exchange, nothing generated. Should the wording
    change, the bound is found by halving, one token for each id that is taken.
    """
    told = await _refusal(engine, token_id=_VOCAB_LIMIT)
    if told is None:
        raise EngineDown("The engine does not check token ids, so its vocabulary cannot be known")
    if size := _TOLD_VOCAB.search(told):
        return int(size[1])
    taken, refused = 0, _VOCAB_LIMIT
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if await _refusal(engine, token_id=middle) is None:
            taken = middle
        else:
            refused = middle
    return refused


async def _refusal(engine: VllmEngine, *, token_id: int) -> str | None:
    """Return the words with which the server refuses a bias on `token_id`, or None if it takes it."""
    body = {
        "messages": [{"role": "user", "content": "."}],
        "max_tokens": 1,
        "logit_bias": {str(token_id): 0.0},
    }
    status, answer = await engine.ask("/v1/chat/completions", body=body)
    if status == 200:
        return None
    if status != 400:
        raise failure(status, answer)
    return str(answer)
