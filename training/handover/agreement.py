"""The proof that the engine serves what was trained: its greedy answers are those of transformers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from models.locations import REPOSITORY
from training.errors import CheckpointError, TrainingError
from training.handover.engine import ABSENT
from training.handover.questions import CHATS, CONTEXT, NAMES, NUM_TOKENS, TEXTS, Answer

# Nats. Two correct float32 engines differ by some 1e-5 on a CPU and, where a GPU multiplies in TF32, by some
# 1e-3: a runner-up this close may win in one of them, and what follows then has another beginning.
TIE: Final = 0.01
_TIMEOUT_S: Final = 1_800  # a start takes a minute on two cores, a 7B in float32 several
_TORCHRUN: Final = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_", "OMP_NUM")
_FOREIGN: Final = (*_TORCHRUN, "PYTHONDONTWRITEBYTECODE")
_INSTALL: Final = (
    'pip install -e ".[engine-cpu]" (engine-gpu where there is one), or set export.check_engine = false'
)


def check_installed() -> None:
    """Raise TrainingError where there is no vLLM: to be asked before anything is written."""
    if find_spec("vllm") is None:
        raise TrainingError(f"the export is checked against vLLM, which is not installed: {_INSTALL}")


def ask_engine(folder: Path, *, context: int, log: Path) -> list[dict[str, list[int]]]:
    """Return the prompts' ids and the greedy answers of a vLLM of our own; what it prints goes to `log`.

    Raises TrainingError with the log's last words where it cannot answer.
    """
    question = {"folder": str(folder.resolve()), "texts": TEXTS, "chats": CHATS, "num_tokens": NUM_TOKENS}
    with log.open("wb") as file:
        try:
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-m", "training.handover.engine", str(os.getpid())],
                input=json.dumps(question | {"context": min(context, CONTEXT)}).encode(),
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=REPOSITORY,
                env=_environment(),
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TrainingError(f"vLLM gave no answer within {_TIMEOUT_S} s: {_last_words(log)}") from None
    if done.returncode == ABSENT:
        raise TrainingError(f"vLLM cannot be imported ({_last_words(log)}): {_INSTALL}")
    if done.returncode:
        raise TrainingError(f"vLLM cannot serve the export, status {done.returncode}: {_last_words(log)}")
    found: list[dict[str, list[int]]] = json.loads(done.stdout)
    return found


def compare(expected: Sequence[Answer], found: Sequence[dict[str, list[int]]]) -> str:
    """Return how many answers are equal, and how many part at a tie. Raises CheckpointError for any other."""
    ties = 0
    for name, ours, theirs in zip(NAMES, expected, found, strict=True):
        if theirs["prompt"] != ours.prompt:
            raise CheckpointError(f"prompt {name!r}: vLLM makes other token ids of it than transformers")
        if theirs["answer"] == ours.answer:
            continue
        at = next(
            (
                i
                for i, pair in enumerate(zip(ours.answer, theirs["answer"], strict=False))
                if pair[0] != pair[1]
            ),
            min(len(ours.answer), len(theirs["answer"])),
        )
        tie = at < min(len(ours.answer), len(theirs["answer"])) and ours.leads[at] < TIE
        if not tie or theirs["answer"][at] != ours.runners_up[at]:
            told = f", {ours.leads[at]:.3g} nats ahead" if at < len(ours.leads) else ""
            raise CheckpointError(
                f"prompt {name!r}: at position {at} vLLM answers {theirs['answer'][at : at + 1]}, "
                f"transformers {ours.answer[at : at + 1]}{told}: the engine does not serve what was trained"
            )
        ties += 1
    equal = f"{len(expected) - ties} of {len(expected)}"
    return f"{equal}, {ties} part where two tokens are less than {TIE} nats apart" if ties else equal


def _environment() -> dict[str, str]:
    """Return the child's environment: offline, silent to its makers, all in one process, on all cores."""
    cores = (
        ",".join(map(str, sorted(os.sched_getaffinity(0)))) if hasattr(os, "sched_getaffinity") else "auto"
    )
    told = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": cores,
    }
    # vLLM would take itself for a rank of torchrun's; without byte code its start takes half a minute more.
    own = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    return {**told, **own, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}  # one process, so that none is left


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()][-200:]
    errors = [line for line in lines if "Error" in line]
    return f"{(errors or lines or ['no output'])[-1].strip()[:300]} (log: {log})"
