"""The parser of vLLM's event stream on bytes: any cut gives the same text, and it is fast enough."""

from __future__ import annotations

import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.base import Delta, Usage
from service.engine.wire import AnswerParser
from service.errors import EngineAborted


def event(content: str = "", *, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": finish_reason}
    chunk = {
        "id": "chatcmpl-0af3",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "describe-1",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'
DONE = b"data: [DONE]\n\n"
PIECES = ["Прода", "ётся\r\n", " 🚲 «data: [DONE]»\n\n"]
STREAM = event() + b"".join(event(piece) for piece in PIECES) + event(finish_reason="stop") + USAGE + DONE


def parse(pieces: list[bytes]) -> list[Delta]:
    parser = AnswerParser()
    return [delta for piece in pieces if piece and (delta := parser.feed(piece)) is not None]


@settings(max_examples=200, deadline=None)
@given(cuts=st.lists(st.integers(0, len(STREAM))))
def test_any_cut_gives_the_same_answer(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(STREAM)]
    deltas = parse([STREAM[a:b] for a, b in itertools.pairwise(bounds)])
    assert "".join(delta.text for delta in deltas) == "".join(PIECES)
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    assert deltas[-1].usage == Usage(prompt_tokens=7, completion_tokens=3)


def test_events_of_one_network_chunk_become_one_delta() -> None:
    assert [delta.text for delta in parse([event("а") + event("б") + event("в")])] == ["абв"]


def test_an_event_may_span_several_data_lines() -> None:
    spread = event("да").replace(b'"choices"', b'\ndata: "choices"')
    assert [delta.text for delta in parse([spread])] == ["да"]


def test_usage_of_every_chunk_keeps_the_last() -> None:
    early = USAGE.replace(b'"completion_tokens":3', b'"completion_tokens":1')
    deltas = parse([early + event("да", finish_reason="length") + USAGE + DONE])
    assert deltas[-1].usage == Usage(prompt_tokens=7, completion_tokens=3)


def test_an_end_without_done_is_complete_only_after_a_finish_reason() -> None:
    parser = AnswerParser()
    parser.feed(event("да"))
    with pytest.raises(EngineAborted):
        parser.end()
    parser.feed(event(finish_reason="length"))
    assert parser.end().finish_reason == "length"


@pytest.mark.parametrize(
    "data",
    [b"null", b"[]", b'"text"', b"{", b"{}", b'{"choices":[{}]}', b'{"choices":[{"delta":null}]}', b"\xff"],
)
def test_malformed_events_are_a_failure(data: bytes) -> None:
    with pytest.raises(EngineAborted):
        AnswerParser().feed(b"data: " + data + b"\n\n")


def test_relays_over_20_000_tokens_a_second() -> None:
    """The worst case: every token alone in its network chunk. A tenth of the time is left for all else."""
    chunks = [event(" слово") for _ in range(20_000)]
    parser = AnswerParser()
    begin = time.process_time()
    for chunk in chunks:
        parser.feed(chunk)
    assert time.process_time() - begin < 0.5
