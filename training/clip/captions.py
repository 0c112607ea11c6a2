"""The stage `captions`: the measured colour of every photo, and a tokenizer of the captions there can be.

A pretrained model has a tokenizer: there the stage measures the colours alone.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from models.eyes import load_banks
from training.clip.colour import measure
from training.clip.index import read_index
from training.clip.lessons import Lessons
from training.clip.photos import read_images
from training.clip.settings import TextTower
from training.clip.wording import Captioner
from training.recipe import Work

COLOURS: Final = "colours.json"
TOKENIZER: Final = "tokenizer"
PAD, START, END = "<pad>", "<start>", "<end>"
_TELL: Final = 64


def build(work: Work) -> dict[str, Any]:
    """Write the colours and the tokenizer's folder, and return figures."""
    clip = work.run.clip
    assert clip
    photos, banks = read_index(work.before["photos"]), load_banks(clip.banks)
    colours: dict[str, str | None] = {}
    images = read_images(work.run.photos, photos, data=Path(work.run.data))
    for number, (photo, image) in enumerate(zip(photos, images, strict=True)):
        colours[photo.name] = measure(image)
        if number % _TELL == 0:
            work.progress("colours", number, len(photos))
    Lessons(photos, colours, banks=banks)  # finds faults of the run file before hours of training
    (work.folder / COLOURS).write_text(json.dumps(colours, ensure_ascii=False, indent=0), encoding="utf-8")
    coloured = {"with one colour": sum(colour is not None for colour in colours.values())}
    if clip.pretrained:
        return coloured
    work.progress("tokenizer", 1, 1)
    texts = Captioner(banks).every_text()
    random.Random(work.run.seed).shuffle(texts)  # noqa: S311
    tokenizer = train_tokenizer(texts[: clip.text.captions], settings=clip.text)
    tokenizer.save_pretrained(work.folder / TOKENIZER)
    lengths = [len(ids) for ids in tokenizer(texts[:1_000], verbose=False).input_ids]
    return {
        "texts": len(set(texts)),
        "tokens": len(tokenizer),
        "tokens a caption": round(sum(lengths) / len(lengths), 1),
        **coloured,
        "commonest colours": ", ".join(
            name for name, _ in Counter(filter(None, colours.values())).most_common(3)
        ),
    }


def train_tokenizer(texts: Sequence[str], *, settings: TextTower) -> PreTrainedTokenizerFast:
    """Return a BPE of bytes that tells neither capitals nor ё. Its end is the highest id.

    open_clip takes a text's embedding at the highest id in it (`pool_type` "argmax").
    """
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace("ё", "е")]
    )
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary - 1,
        special_tokens=[PAD, START],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.add_special_tokens([END])
    ids = {name: bpe.token_to_id(name) for name in (START, END)}
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[*ids.items()]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        model_max_length=settings.context_length,
    )


def read_colours(folder: Path) -> dict[str, str | None]:
    """Return the colour of each photo by its name, None where it has no one colour."""
    found: dict[str, str | None] = json.loads((folder / COLOURS).read_text(encoding="utf-8"))
    return found
