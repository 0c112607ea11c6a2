"""Turns a dialogue into the very tokens that the served model will see, and says which are trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import TemplateError

from training.dialogues.reading import Turn
from training.errors import TokenizerError


class Rendered(NamedTuple):
    """A dialogue's tokens up to its last trained one; `trained` tells of each whether the loss counts it."""

    ids: list[int]
    trained: list[bool]


class Chat:
    """A tokenizer with its chat template, as transformers and vLLM load them from a folder.

    Raises TokenizerError where there is none, or none that ends an answer by a special token.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer  # takes a second

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
        except (OSError, ValueError) as error:
            raise TokenizerError(f"{folder}: no tokenizer to render dialogues with: {error}") from error
        if not self._tokenizer.chat_template:
            raise TokenizerError(
                f"{folder}: the tokenizer has no chat template, so no dialogue can be rendered"
            )
        special = {at: token for at, token in self._tokenizer.added_tokens_decoder.items() if token.special}
        self._special = frozenset(special)
        self._marks = re.compile("|".join(re.escape(token.content) for token in special.values()) or r"(?!)")
        self._folder = folder

    def render(self, turns: Sequence[Turn]) -> Rendered:
        """Return tokens and mask: the trained answers, each with the token that ends its turn.

        The tokens before an answer are those that the service sends to get it. Raises ValueError where the
        dialogue cannot be rendered so.
        """
        for turn in turns:
            if mark := self._marks.search(turn.content):
                raise ValueError(f"the {turn.role}'s text holds the special token {mark[0]}")
        ids, end = self._encode(self._text(turns, asked=False)), 0
        trained = [False] * len(ids)
        for at, turn in enumerate(turns):
            if not turn.trained:
                continue
            prompt = self._encode(self._text(turns[:at], asked=True))
            if ids[: len(prompt)] != prompt:
                raise ValueError(
                    f"the answer {turn.content[:40]!r} changes the tokens of the prompt before it"
                )
            end = self._end(ids, begin=len(prompt))
            trained[len(prompt) : end] = [True] * (end - len(prompt))
        return Rendered(ids[:end], trained[:end])

    def _end(self, ids: list[int], *, begin: int) -> int:
        """Return the place behind the special token that ends the answer."""
        for at in range(begin, len(ids)):
            if ids[at] in self._special:
                return at + 1
        raise TokenizerError(
            f"{self._folder}: the chat template ends an answer by no special token, so none could be learned"
        )

    def _text(self, turns: Sequence[Turn], *, asked: bool) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asked)
        except TemplateError as error:
            raise ValueError(f"the chat template refuses the dialogue: {error}") from error
        return str(text)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
