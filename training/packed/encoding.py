"""Texts become ids in groups large enough for all cores, the same ids as one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from training.vocabulary.base import Vocabulary
from training.vocabulary.huggingface import HuggingFaceVocabulary

_TOGETHER: Final = 2**21  # characters tokenized at once, on all cores: about 200 MB of memory


def tokenize(texts: Iterable[str], *, vocabulary: Vocabulary) -> Iterator[list[int]]:
    """Yield the ids of each text, as `vocabulary.encode` gives them; a tokenizer.json uses all cores."""
    if not isinstance(vocabulary, HuggingFaceVocabulary):
        yield from map(vocabulary.encode, texts)
        return
    for some in _grouped(texts):
        # "fast": without the offsets that nobody asks for
        for encoding in vocabulary.tokenizer.encode_batch_fast(some, add_special_tokens=False):
            yield encoding.ids


def _grouped(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield lists of texts of about `_TOGETHER` characters."""
    group: list[str] = []
    characters = 0
    for text in texts:
        group.append(text)
        characters += len(text)
        if characters >= _TOGETHER:
            yield group
            group, characters = [], 0
    if group:
        yield group
