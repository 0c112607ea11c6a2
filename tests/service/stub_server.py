"""What a LocalEngine starts in tests instead of vLLM: OpenAIServer as a process, on the port it is told.

`python -m tests.service.stub_server PORT MODEL FILE`; the file's first word says what to play: serve, die
(ends at once with words on stderr), silent (listens, gives no token), worker (serves and keeps a child).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from service.engine.fake import FakeEngine, Script
from tests.service.openai_server import OpenAIServer

SCRIPTS = {
    "serve": Script(text="да " * 400, token_s=0.01),
    "worker": Script(text="да"),
    "silent": Script(fault="hang"),
}


async def serve(port: int, model: str, *, script: Script) -> None:
    """Serve until killed."""
    server = OpenAIServer(FakeEngine(script), model=model)
    server.takes_priority = True
    async with server.running(port=port):
        print(f"stub: serving {model}", flush=True)
        await asyncio.Event().wait()


def main(port: int, model: str, mode: str) -> int:
    """Play the mode."""
    if mode == "die":
        print("line one\nRuntimeError: no memory for the weights\nline three", file=sys.stderr)
        return 3
    if mode == "worker":
        subprocess.Popen(["sleep", "600"])
    asyncio.run(serve(port, model, script=SCRIPTS[mode]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text().split()[0]))
