"""What a LocalEngine starts in tests instead of vLLM: OpenAIServer as a process, on the port it is told.

`python stub_server.py PORT MODEL MODE`; the mode is serve, die (ends at once with words on stderr), silent
(listens, gives no token) or worker (serves and keeps a child that a kill of the server alone would leave).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from aiohttp import web

from service.engine.fake import FakeEngine, Script
from tests.service.openai_server import OpenAIServer


async def serve(port: int, model: str, *, script: Script) -> None:
    """Serve until killed."""
    server = OpenAIServer(FakeEngine(script), model=model)
    server.takes_priority = True
    runner = web.AppRunner(server.application(), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"stub: serving {model}", flush=True)
    await asyncio.Event().wait()


def main(port: int, model: str, mode: str) -> int:
    """Play the mode."""
    if mode == "die":
        print("line one\nRuntimeError: no memory for the weights\nline three", file=sys.stderr)
        return 3
    if mode == "worker":
        subprocess.Popen(["sleep", "600"])
    script = Script(fault="hang") if mode == "silent" else Script(text="да " * 200, token_s=0.01)
    asyncio.run(serve(port, model, script=script))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), *sys.argv[2:]))
