"""A server in vLLM's dialect that does next to nothing: fixed timing, events encoded beforehand.

`tests/service/openai_server.py` shows faults; this one is for speed, since it shares the cores with what is
measured. It answers POST /script {"tokens", "first_token_s", "token_s"} with a new script for what comes
next. Token times are absolute from the request's arrival; every token is a write of its own, as vLLM's are.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from typing import Any, cast

import orjson
import uvloop

PROMPT_TOKENS = 1300  # as many as the released prompt has; only counted
EVENT_HEAD = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Script:
    """One answer, ready to be written: chunks of HTTP with an event each."""

    def __init__(self, *, tokens: list[str], first_token_s: float, token_s: float) -> None:
        self.first_token_s = first_token_s
        self.token_s = token_s
        self.events = [_event({"content": token}, num_tokens=n + 1) for n, token in enumerate(tokens)]

    def end(self, *, num_tokens: int) -> bytes:
        """Return the last events: finish reason, usage, [DONE], the body's end."""
        reason = "stop" if num_tokens == len(self.events) else "length"
        usage = {**EVENT_HEAD, "choices": [], "usage": _usage(num_tokens)}
        finish = _event({"content": ""}, num_tokens=num_tokens, finish_reason=reason)
        return finish + _chunk(orjson.dumps(usage)) + _chunk(b"[DONE]") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.data = b""
        self.writable = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(fields.get(b"content-length", 0)):
            return
        self.data = b""
        path = head.split(b" ", 2)[1]
        self.answer(path.decode(), orjson.loads(body) if body else {})

    def answer(self, path: str, body: dict[str, Any]) -> None:
        """Answer one request, at once or as a stream."""
        server = self.server
        if path == "/v1/models":
            self.json({"data": [{"id": server.model}]})
        elif path == "/tokenize":
            self.json({"tokens": server.probe_ids, "max_model_len": server.context_length})
        elif path == "/script":
            server.script = Script(**body)
            self.json({})
        elif "logit_bias" in body:
            self.json(
                {"error": {"message": f"out of vocab. Vocabulary size: {server.vocab_size}"}}, status=400
            )
        else:
            self.transport.write(STREAM_HEAD + _event({"role": "assistant", "content": ""}, num_tokens=0))
            Stream(self, server.script, num_tokens=body["max_tokens"]).start()

    def json(self, content: dict[str, Any], *, status: int = 200) -> None:
        """Write a whole answer."""
        body = orjson.dumps(content)
        head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


class Stream:
    """One running answer."""

    def __init__(self, connection: Connection, script: Script, *, num_tokens: int) -> None:
        self.transport = connection.transport
        self.script = script
        self.events = script.events[:num_tokens]
        self.sent = 0
        self.loop = asyncio.get_running_loop()
        self.begin = self.loop.time() + script.first_token_s

    def start(self) -> None:
        """Wait for the first token's time."""
        self.loop.call_at(self.begin, self.step)

    def step(self) -> None:
        """Write what is due: by the clock, or without a pace one token a turn."""
        if self.transport.is_closing():
            return
        token_s = self.script.token_s
        due = 1 + int((self.loop.time() - self.begin) / token_s + 1e-6) if token_s else self.sent + 1
        for event in self.events[self.sent : due]:
            self.transport.write(event)
        self.sent = min(max(due, self.sent), len(self.events))
        if self.sent == len(self.events):
            self.transport.write(self.script.end(num_tokens=self.sent))
        elif token_s:
            self.loop.call_at(self.begin + self.sent * token_s, self.step)
        elif self.transport.get_write_buffer_size() > 2**16:  # the reader is slower: let it catch up
            self.loop.call_later(0.001, self.step)
        else:
            self.loop.call_soon(self.step)


class Server:
    """What all connections share: the identity that the card promises, and the script."""

    def __init__(self, *, model: str, vocab_size: int, context_length: int, probe_ids: list[int]) -> None:
        self.model = model
        self.vocab_size = vocab_size
        self.context_length = context_length
        self.probe_ids = probe_ids
        self.script = Script(tokens=["."], first_token_s=0, token_s=0)


def _usage(num_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "total_tokens": PROMPT_TOKENS + num_tokens,
        "completion_tokens": num_tokens,
    }


def _event(delta: dict[str, str], *, num_tokens: int, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, "token_ids": None}
    return _chunk(orjson.dumps({**EVENT_HEAD, "choices": [choice], "usage": _usage(num_tokens)}))


def _chunk(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


async def serve(identity: dict[str, Any]) -> None:
    """Listen on a free port of loopback and print it."""
    server = Server(**identity)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(server), "127.0.0.1", 0, backlog=2048
    )
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


def precise_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose timers keep to microseconds; epoll's and uvloop's round to milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    factory = precise_loop if sys.argv[2] == "precise" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(orjson.loads(sys.argv[1])))
