"""Ids as a vLLM server makes them: its own engine settings, renderer and detokenizer; no weights, no HTTP.

`python -m tests.contract.vllm_renderer FOLDER < QUESTION`, JSON on both sides: {"texts": [...], "messages":
[...]} in, {"ids": [...], "decoded": [...], "chat": [...]} out. A process of its own, since vllm changes the
logging, torch and environment of whoever imports it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any


def answer(folder: str, *, texts: list[str], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Do what /v1/completions and /v1/chat/completions do before and after the model."""
    from vllm.engine.arg_utils import EngineArgs
    from vllm.renderers import renderer_from_config
    from vllm.renderers.params import ChatParams

    renderer = renderer_from_config(EngineArgs(model=folder).create_engine_config())
    prompts = renderer.render_cmpl([{"prompt": text} for text in texts])
    ids = [list(prompt["prompt_token_ids"]) for prompt in prompts]
    params = ChatParams(chat_template_kwargs={"add_generation_prompt": True})
    _, [chat] = renderer.render_chat([messages], params)
    decoded = [streamed(found, tokenizer=renderer.get_tokenizer()) for found in ids]
    return {"ids": ids, "decoded": decoded, "chat": list(chat["prompt_token_ids"])}


def streamed(ids: list[int], *, tokenizer: Any) -> str:
    """Put an answer's text together token by token, as it is streamed."""
    from vllm.sampling_params import SamplingParams
    from vllm.v1.engine import EngineCoreRequest
    from vllm.v1.engine.detokenizer import IncrementalDetokenizer

    request = EngineCoreRequest(
        request_id="one",
        prompt_token_ids=[0],
        mm_features=None,
        sampling_params=SamplingParams(skip_special_tokens=False, spaces_between_special_tokens=False),
        pooling_params=None,
        arrival_time=0.0,
        lora_request=None,
        cache_salt=None,
        data_parallel_rank=None,
    )
    detokenizer = IncrementalDetokenizer.from_new_request(tokenizer, request)
    for i in ids:
        detokenizer.update([i], False)
    return detokenizer.get_next_output_text(finished=True, delta=False)


if __name__ == "__main__":
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    with contextlib.redirect_stdout(sys.stderr):
        answered = answer(sys.argv[1], **json.load(sys.stdin))
    print(json.dumps(answered))
