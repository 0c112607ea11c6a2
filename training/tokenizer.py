"""Train a vocabulary for Russian listings, from bytes or from a base's: same texts in, same file out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from models.prompts import chat_template
from training import config
from training.errors import TokenizerError
from training.recipe import Progress
from training.vocabulary.grown import count_units, grow_tokenizer
from training.vocabulary.huggingface import HuggingFaceVocabulary
from training.vocabulary.loading import load_vocabulary

# A token holds no more than one of these: an English ending, a word with the space or sign before it, a
# digit, signs with the line's end behind them, line ends, spaces. Taken from GPT-4's, with digits one by one
# and accents inside of words (за́мок, й written as и and a breve).
SPLIT: Final = (
    r"(?i:['’](?:s|t|re|ve|m|ll|d)\b)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ROLES: Final = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}
NUM_RESERVED: Final = 12  # a task that needs a token of its own later changes no matrix
_RESERVED: Final = [f"<|reserved_{i}|>" for i in range(NUM_RESERVED)]
SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", *_RESERVED)
_MB: Final = 1_000_000
_PIECE: Final = 2**20  # characters; a text of 36 MB took 2.3 GB to split at once, 0.3 GB in pieces
_CUT: Final = re.compile(r"(?<=\S)(?= \S)")  # where SPLIT cuts whatever stands around it


def train_tokenizer(
    documents: Iterable[str],
    *,
    settings: config.Tokenizer,
    folder: Path,
    base: Path | None = None,
    progress: Progress = lambda note, done, total: None,
) -> dict[str, Any]:
    """Write tokenizer.json and tokenizer_config.json into `folder` and return what was read, and how fast.

    The order of the documents does not matter. `base` is the folder of the vocabulary to grow from, for
    `grow_from = "base"`. Raises TokenizerError, and then writes nothing, where the documents hold no text or
    too little for the vocabulary, or the base is of another kind.
    """
    template = chat_template(settings.chat_template)
    counts, begun = {"documents": 0, "bytes": 0}, time.perf_counter()
    read = _read(documents, counts=counts, total_mb=settings.sample_mb, progress=progress)
    tokenizer = _grown(read, base=base, settings=settings) if base else _trained(read, settings=settings)
    _check(tokenizer, settings=settings, num_bytes=counts["bytes"])
    seconds, megabytes = time.perf_counter() - begun, counts["bytes"] / _MB
    _write(tokenizer, folder=folder, template=template)
    return {
        "vocabulary": settings.vocabulary,
        "documents": counts["documents"],
        "MB of text": megabytes,
        "MB/s": megabytes / seconds,
    }


def _grown(texts: Iterable[str], *, base: Path, settings: config.Tokenizer) -> Tokenizer:
    old = load_vocabulary(str(base))
    if not isinstance(old, HuggingFaceVocabulary):
        raise TokenizerError(f'{base}: grow_from = "base" needs a base with a tokenizer.json')
    return grow_tokenizer(
        old,
        count_units(texts),
        size=settings.vocabulary,
        min_frequency=settings.min_frequency,
        special=SPECIAL,
    )


def _trained(texts: Iterable[str], *, settings: config.Tokenizer) -> Tokenizer:
    tokenizer = _untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        min_frequency=settings.min_frequency,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # all 256 bytes: nothing is unknown
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIAL],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _untrained() -> Tokenizer:
    """Return the model without a vocabulary. There is no normalizer, so that every string comes back."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _read(
    documents: Iterable[str], *, counts: dict[str, int], total_mb: float, progress: Progress
) -> Iterator[str]:
    """Yield the documents in pieces of bounded length; count them and tell of every megabyte."""
    told = 0.0
    for text in documents:
        counts["documents"] += 1
        for piece in _pieces(text):
            try:
                counts["bytes"] += len(piece.encode())
            except UnicodeEncodeError as error:
                where = f"document {counts['documents']:,} of the sample"
                raise TokenizerError(f"{where} is no text: half of a surrogate pair in it") from error
            yield piece
        if (done := counts["bytes"] / _MB) >= told + 1:
            told = done
            progress(f"{done:,.0f} MB counted", min(done, total_mb), 2 * total_mb)
    progress("pairs are merged", total_mb, 2 * total_mb)


def _pieces(text: str) -> Iterator[str]:
    begin = 0
    while len(text) - begin > _PIECE and (cut := _CUT.search(text, begin + _PIECE)):
        yield text[begin : cut.start()]
        begin = cut.start()
    yield text[begin:]


def _check(tokenizer: Tokenizer, *, settings: config.Tokenizer, num_bytes: int) -> None:
    if not num_bytes:
        raise TokenizerError("there is no text to train a tokenizer on")
    if (reached := tokenizer.get_vocab_size()) < settings.vocabulary:
        raise TokenizerError(
            f"{num_bytes / _MB:,.3g} MB of text support a vocabulary of {reached:,}, not of "
            f"{settings.vocabulary:,}: give it more text (sample_mb is {settings.sample_mb:g}) or set "
            f"vocabulary to {reached // 64 * 64} or less"
        )


def _write(tokenizer: Tokenizer, *, folder: Path, template: str) -> None:
    """Write what transformers 4 and 5 and vLLM read, and neither tokenizer.model nor tekken.json.

    At the sight of those vLLM leaves tokenizer.json alone. `TokenizersBackend`, the class that transformers 5
    writes, is unknown to 4; both know PreTrainedTokenizerFast.
    """
    content = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **ROLES,
        "model_max_length": 10**30,  # the model's to limit; without it transformers assumes this number
        "clean_up_tokenization_spaces": False,  # True, once the default, turns « ,» into «,»
        "chat_template": template,
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
