"""What the card promises the service: its tasks with their prompts, and how many tokens the model holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from models.card import TaskSettings
from models.prompts import prompt_versions
from training.errors import ConfigError
from training.optimization import Export

# How answers are drawn: greedy, so that a request is answered alike twice. Descriptions, replies and
# summaries are one line in every template; a description that a guard refuses is worth a second draw.
_ONE_LINE: Final[dict[str, Any]] = {"stop": ("\n",), "seed": 1}
_SAMPLING: Final[dict[str, dict[str, Any]]] = {
    "describe": {"max_tokens": 220, "attempts": 2, **_ONE_LINE},
    "extract_model": {"max_tokens": 96, "seed": 1},
    "suggest_reply": {"max_tokens": 32, **_ONE_LINE},
    "review_aspects": {"max_tokens": 8, "seed": 1},
    "review_summary": {"max_tokens": 160, **_ONE_LINE},
}
_OTHER: Final[dict[str, Any]] = {"max_tokens": 160, "seed": 1}  # a task newer than this table


def context_length(settings: Export, *, config: Mapping[str, Any]) -> int:
    """Return the tokens that the model holds. Raises ConfigError where the run file promises more."""
    limit = (config.get("text_config") or config).get("max_position_embeddings")
    wanted = settings.context_length or limit
    if wanted is None:
        raise ConfigError("export.context_length: config.json has no max_position_embeddings: give it")
    if limit and wanted > limit:
        raise ConfigError(f"export.context_length: is {wanted:,}, but the model has {limit:,} positions")
    return int(wanted)


def task_settings(settings: Export, *, context: int) -> dict[str, TaskSettings]:
    """Return every task that has a prompt, in the version asked for or the newest. Raises ConfigError."""
    known = prompt_versions()
    for task, version in settings.prompts.items():
        if version not in known.get(task, ()):
            names = ", ".join(f"{name}.{one}" for name, versions in known.items() for one in versions)
            raise ConfigError(f"export.prompts: there is no template {task}.{version}; known are {names}")
    found = {}
    for task, versions in known.items():
        sampling = _SAMPLING.get(task, _OTHER)
        room = min(sampling["max_tokens"], context // 2)  # at least a half is the prompt's
        prompt = f"{task}.{settings.prompts.get(task, versions[-1])}"
        found[task] = TaskSettings(**sampling | {"prompt": prompt, "max_tokens": max(1, room)})
    return found
