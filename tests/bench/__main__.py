"""`python -m tests.bench [NAME…] [--quick]`: measure, print a table, keep the result in tests/bench/results.

Without names everything runs but `start`, which makes a fresh clone and an environment of its own.
`--quick` shows that a benchmark works; its numbers say nothing and are not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys

import uvloop

from service.errors import ServiceError
from tests.bench.report import Result, Skipped, save, show

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch is loaded, as in training/__main__.py

ALL = ("overhead", "relay", "streams", "overload", "engine", "start")
ALL += ("keys", "descriptions", "extraction", "reviews", "replies", "injections", "bulk")
ALL += ("corpus", "cleaning", "personal", "duplicates", "decontamination", "tokenizers", "swap")
ALL += ("packing", "training", "checkpoints", "spikes", "kills", "adaptation")
ALL += ("captions", "eyes_speed", "photographed")
USUAL = tuple(name for name in ALL if name != "start")
# With a real vLLM.
REAL = ("engine", "start", "descriptions", "extraction", "reviews", "replies", "injections", "bulk")
REAL += ("adaptation", "photographed")
LONG = (*REAL, "corpus", "cleaning", "duplicates", "tokenizers", "swap")
LIMIT_S = dict.fromkeys(LONG, 3600)  # of wall time; a hung benchmark is a failed one
USUAL_LIMIT_S = 900


async def measure(name: str, *, quick: bool) -> Result:
    """Run one benchmark within its time limit."""
    module = importlib.import_module(f"tests.bench.{name}")
    async with asyncio.timeout(LIMIT_S.get(name, USUAL_LIMIT_S)):
        result: Result = await module.run(quick=quick)
    return result


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every benchmark ran, whether it met its targets or not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(ALL)}")
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is kept")
    arguments = parser.parse_args(argv)
    names = arguments.names or USUAL
    if unknown := [name for name in names if name not in ALL]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(ALL)}")
    failed = []
    for name in names:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                result = runner.run(measure(name, quick=arguments.quick))
            except Skipped as reason:
                print(f"{name}: skipped: {reason}\n", flush=True)
                continue
            except (RuntimeError, TimeoutError, OSError, ServiceError, ExceptionGroup) as error:
                print(f"{name}: failed: {_first(error)}\n", file=sys.stderr, flush=True)
                failed.append(name)
                continue
        show(name, result)
        if not arguments.quick:
            save(name, result)
    return 1 if failed else 0


def _first(error: Exception) -> str:
    """Return the first reason: when many streams fail they fail alike."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


if __name__ == "__main__":
    raise SystemExit(main())
