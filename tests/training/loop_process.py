"""One training of the loop as a process of its own: RUN-FILE STORE BASE FOLDER, alone or under torchrun."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import torch

torch.set_num_threads(1)


def main(run_file: str, store: str, base: str, folder: str) -> int:
    from training import loop
    from training.config import load_run
    from training.errors import Interrupted, TrainingError
    from training.recipe import Work

    run = load_run(run_file)
    Path(folder).mkdir(parents=True, exist_ok=True)
    kill_at = int(os.environ.get("KILL_AT", "-1"))
    victim = os.environ.get("KILL_RANK", "0") == os.environ.get("RANK", "0")

    def progress(note: str, done: float, total: float) -> None:
        print(f"{done:.0f}/{total:.0f} {note}", flush=True)

    if kill_at >= 0 and victim:
        from training.trainer import stepping

        apply = stepping.Stepper.apply
        left = [kill_at]

        def killed(self: stepping.Stepper, rate: float) -> None:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            apply(self, rate)

        stepping.Stepper.apply = killed  # type: ignore[method-assign]
    if os.environ.get("KILL_AT_REWIND"):
        from training.trainer import telling

        telling.Telling.rewound = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    try:
        work = Work(run, Path(folder), {}, progress)
        figures = loop.build(work, training=run.training[0], base=Path(base), store=Path(store))
    except Interrupted as error:
        print(error, file=sys.stderr)
        return 130
    except TrainingError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if figures:
        print(figures)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(main(*sys.argv[1:]))
