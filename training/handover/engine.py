"""Greedy answers of the real vLLM, asked in a process of its own: vllm changes logging and torch for good.

`python -m training.handover.engine PARENT_PID < QUESTION > ANSWER`, JSON on both sides: {"folder": …,
"texts": […], "chats": […], "num_tokens": n, "context": n} in, [{"prompt": ids, "answer": ids}, …] out. What
vLLM prints goes to stderr.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any, Final

ABSENT: Final = 3  # exit status where vllm cannot be imported
_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


def answer(question: dict[str, Any]) -> list[dict[str, list[int]]]:
    """Load the folder and answer each prompt."""
    import torch
    from vllm import LLM, SamplingParams

    on_cpu = not torch.cuda.is_available()
    engine = LLM(
        question["folder"],
        dtype="float32",  # in bfloat16 the order of the sums decides between near equals
        enforce_eager=True,
        max_model_len=question["context"],
        max_num_seqs=len(question["texts"]) + len(question["chats"]),
        gpu_memory_utilization=0.2 if on_cpu else 0.5,
        enable_prefix_caching=False,
        disable_log_stats=True,
        seed=0,
    )
    greedy = SamplingParams(temperature=0.0, max_tokens=question["num_tokens"])
    found = engine.generate(question["texts"], greedy, use_tqdm=False)
    found += engine.chat(question["chats"], greedy, use_tqdm=False)
    return [
        {"prompt": list(one.prompt_token_ids or ()), "answer": list(one.outputs[0].token_ids)}
        for one in found
    ]


def main(parent: int) -> int:
    """Answer the question on stdin. The engine runs in this very process, and dies with its parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            return 1
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # vLLM and its kernels print to both
    question = json.load(sys.stdin)
    try:
        import vllm  # noqa: F401
    except ImportError as error:
        print(f"ImportError: {error}", file=sys.stderr)
        return ABSENT
    with out:
        json.dump(answer(question), out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
