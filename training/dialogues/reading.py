"""Reads dialogues from JSON lines, and names file and line of what is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from training.cleaning.readable import Fault, lines_of
from training.cleaning.reading import files_of
from training.config import Dialogues, Source
from training.errors import CorpusError

ROLES: Final = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `trained` is the assistant's answer that the model is to give itself."""

    role: str
    content: str
    trained: bool


def dialogue_files(dialogues: Dialogues, *, data: Path) -> list[Path]:
    """Return the files, sorted; none if they are made up. Raises ConfigError if nothing matches."""
    name, path, made = dialogues.name, dialogues.path, dialogues.made
    return files_of(Source(name=name, path=path, made=made, domain=name), data=data)


def read_dialogues(path: Path) -> Iterator[tuple[int, list[Turn]]]:
    """Yield line and turns of each dialogue of a .jsonl file, .gz and .zst too.

    A line is an object with `messages`, each of a role and a content. As in OpenAI's format for fine-tuning,
    `weight` = 0 keeps an answer from being trained: it is of the prompt. Or with `dialogue`, the lines of
    two speakers in turns, the second of whom is learned from. Raises CorpusError.
    """
    with closing(lines_of(path)) as lines:
        for line in lines:
            if isinstance(line, Fault):
                raise CorpusError(line.what, place=path, line=line.number)
            number, raw = line
            if raw.isspace():
                continue
            try:
                yield number, _turns(orjson.loads(raw))
            except ValueError as error:
                raise CorpusError(str(error), place=path, line=number) from error


def _turns(row: Any) -> list[Turn]:
    """Return the turns of one object. Raises ValueError with what is wrong."""
    messages = row.get("messages") if isinstance(row, dict) else None
    if messages is None and isinstance(row, dict) and isinstance(lines := row.get("dialogue"), list):
        whole = lines[: len(lines) // 2 * 2]
        messages = [{"role": ROLES[1 + at % 2], "content": line} for at, line in enumerate(whole)]
    if not isinstance(messages, list) or not messages:
        raise ValueError("no dialogue: an object with a list `messages` that is not empty is wanted")
    turns = [_turn(message, f"message {at}") for at, message in enumerate(messages, start=1)]
    if turns[0].role == "assistant":
        raise ValueError("the first message is the assistant's: nothing is asked")
    if turns[-1].role != "assistant":
        raise ValueError(f"the last message is the {turns[-1].role}'s: there is no answer to learn")
    if not any(turn.trained for turn in turns):
        raise ValueError("every answer has weight 0: there is none to learn")
    return turns


def _turn(message: Any, place: str) -> Turn:
    if not isinstance(message, dict):
        raise ValueError(f"{place} is not an object with role and content")  # noqa: TRY004 - the file's fault
    role, content, weight = message.get("role"), message.get("content"), message.get("weight", 1)
    if role not in ROLES:
        raise ValueError(f"{place}: unknown role {role!r}; there are {', '.join(ROLES)}")
    if not isinstance(content, str) or not content.strip():
        raise ValueError(f"{place} ({role}): the content is empty or no text")
    if weight not in (0, 1):
        raise ValueError(f"{place} ({role}): weight is {weight!r}, not 0 or 1")
    return Turn(role, content.strip(), role == "assistant" and weight == 1)
