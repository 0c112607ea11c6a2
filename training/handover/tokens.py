"""The exported tokenizer held against the vocabulary that was trained on: ids, rows, chat prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from models.card import TOKENIZER_PROBE, fingerprint
from models.prompts import chat_template
from training.errors import CheckpointError
from training.handover.questions import CHATS, NAMES
from training.vocabulary.base import Vocabulary

FILE: Final = "tokenizer.json"


def load_tokenizer(folder: Path) -> Any:
    """Return the folder's tokenizer as transformers reads it. Raises CheckpointError."""
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (
        Exception
    ) as error:  # it lets through what the tokenizers library raises, which is nothing narrower
        raise CheckpointError(f"{folder}: transformers cannot read its tokenizer: {error}") from error


def num_rows(config: dict[str, Any]) -> int:
    """Return the rows of the embedding that a config promises. Raises CheckpointError."""
    rows = (config.get("text_config") or config).get("vocab_size")
    if not isinstance(rows, int):
        raise CheckpointError("config.json of the trained model: vocab_size is missing")
    return rows


def check_rows(vocabulary: Vocabulary, *, rows: int, trained: Path, tokenizer: Path | None) -> None:
    """Raise CheckpointError unless the vocabulary fits the rows and is that of `tokenizer`, if given.

    Special tokens may lack a row: Gemma 3 1B has 262,144, and its <image_soft_token> is 262,144.
    """
    if any(piece.surface is not None for piece in vocabulary.pieces[rows:]):
        raise CheckpointError(
            f"{trained / FILE}: has {len(vocabulary.pieces):,} ids, the embedding only {rows:,} rows: "
            "it is of another checkpoint"
        )
    if tokenizer is not None:
        ours, theirs = (Tokenizer.from_file(str(place / FILE)) for place in (trained, tokenizer))
        if ours.get_vocab() != theirs.get_vocab():
            raise CheckpointError(f"{trained / FILE}: has other ids than what this run trained ({tokenizer})")


def check_tokenizer(folder: Path, *, vocabulary: Vocabulary, rows: int, template: str | None) -> str:
    """Return the fingerprint of the folder's tokenizer; `template` names the chat template it must have.

    Raises CheckpointError where transformers gives other ids or another prompt, or an id without a row.
    """
    tokenizer = load_tokenizer(folder)
    for text in (TOKENIZER_PROBE, *NAMES):
        if tokenizer.encode(text, add_special_tokens=False) != vocabulary.encode(text):
            raise CheckpointError(f"{folder / FILE}: transformers gives other ids for {text[:40]!r}")
    for chat in CHATS:
        try:
            rendered, ids = (rendered_chat(tokenizer, chat, tokenize=tokenize) for tokenize in (False, True))
        except Exception as error:  # whatever a template may raise
            raise CheckpointError(f"{folder}: its chat template cannot render a chat: {error}") from error
        if max(ids, default=0) >= rows:
            raise CheckpointError(f"{folder}: a chat has the token {max(ids):,}, the embedding {rows:,} rows")
        wanted = {"chat_template": chat_template(template)} if template else {}
        if rendered != rendered_chat(tokenizer, chat, tokenize=False, **wanted):
            raise CheckpointError(
                f"{folder}: its chat template is not models/templates/{template}.chat.jinja"
            )
    return fingerprint(tokenizer.encode(TOKENIZER_PROBE, add_special_tokens=False))


def rendered_chat(tokenizer: Any, chat: Sequence[dict[str, str]], *, tokenize: bool, **options: Any) -> Any:
    """Return the prompt of a chat, as token ids or as text, up to where the answer begins."""
    return tokenizer.apply_chat_template(
        list(chat), add_generation_prompt=True, tokenize=tokenize, return_dict=False, **options
    )
