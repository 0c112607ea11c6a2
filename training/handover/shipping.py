"""packed/ of an export: the checkpoint small enough to lie in models/, its card, and what packing costs.

packed/NAME/ becomes models/weights/NAME/, packed/NAME.toml models/cards/NAME.toml; packed/deployment.toml
serves these from the repository's root.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import torch

from models.card import Card, Evaluation
from training import corpus
from training.handover.passport import write_card
from training.handover.quantized import read_packed, write_packed
from training.handover.surroundings import hardware
from training.recipe import Work
from training.scoring import Score, score
from training.swap.settings import TERMS, TOKENIZER_FILES, copy_files
from training.swap.stored import find_tensors
from training.vocabulary.loading import load_vocabulary
from training.vocabulary.texts import read_texts

WEIGHTS: Final = "models/weights"  # from the repository's root
_FILES: Final = ("config.json", "generation_config.json", *TOKENIZER_FILES, *TERMS)
_DOCUMENTS: Final = 16  # held out, a domain
_CHARACTERS: Final = 1_000
_CONTEXT: Final = 512
_MB: Final = 1_000_000


def pack_export(work: Work, *, card: Card) -> dict[str, Any]:
    """Write packed/ into the export `work.folder`, if its settings ask for it, and return figures."""
    settings = work.run.export
    if settings is None or settings.packed_bits is None:
        return {}
    work.progress("packing", 1, 2)
    folder = work.folder / "packed" / card.name
    folder.mkdir(parents=True)
    packed = write_packed(
        find_tensors(work.folder),
        folder=folder,
        bits=settings.packed_bits,
        shard_mb=settings.packed_shard_mb,
    )
    copy_files(work.folder, _FILES, target=folder)
    _compact(folder / "tokenizer.json")
    sizes = [path.stat().st_size / _MB for path in folder.iterdir()]
    figures: dict[str, Any] = {
        "packed, MB": round(sum(sizes), 1),
        "packed, largest file, MB": round(max(sizes), 1),
        "packed, relative error of the weights": round(packed.relative_error, 5),
    }
    measured = []
    for domain, (before, after, num) in _costs(work, shards=packed.shards).items():
        figures[f"packed, bits a character, {domain}"] = f"{before.value:.4f} → {after.value:.4f}"
        measured.append((f"bits a character after packing, {domain}", after, num))
    write_card(
        _shipped(card, folder=folder, measured=measured),
        folder=folder.parent,
        published=Path("models/cards"),
    )
    return figures


def _shipped(card: Card, *, folder: Path, measured: Sequence[tuple[str, Score, int]]) -> Card:
    """Return the export's card as that of the packed files, with what was measured on these."""
    files = sorted(folder.iterdir())
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    rows = [
        Evaluation(
            name=name,
            value=found.value,
            n=num,
            stderr=found.stderr if num > 1 else None,
            commit=card.git_sha,
            hardware=hardware(),
            date=date.today(),
        ).model_dump()
        for name, found, num in measured
    ]
    told = card.model_dump()
    return Card.model_validate(
        told
        | {
            "weights": f"file://{WEIGHTS}/{card.name}",
            "weights_sha256": digests,
            "format": "int8",
            "tokenizer_sha256": digests["tokenizer.json"],
            "evaluation": [*told["evaluation"], *rows],
        }
    )


def _costs(work: Work, *, shards: Sequence[Path]) -> dict[str, tuple[Score, Score, int]]:
    """Return the scores before and after by domain, on documents held out where the run has such."""
    texts = _held_out(work)
    if not texts:
        return {}
    from training.handover.reload import load_model

    vocabulary = load_vocabulary(str(work.folder))
    model = load_model(work.folder).float().to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def scores(note: str) -> dict[str, Score]:
        work.progress(f"packing: bits a character {note}", 1, 2)
        return {
            domain: score(model, some, vocabulary=vocabulary, context=_CONTEXT, batch_tokens=4 * _CONTEXT)
            for domain, some in texts.items()
        }

    before, state = scores("before"), model.state_dict()
    for name, weights in chain.from_iterable(map(read_packed, shards)):
        state[name].copy_(weights.bfloat16())
    after = scores("after")
    return {domain: (before[domain], after[domain], len(some)) for domain, some in texts.items()}


def _held_out(work: Work) -> dict[str, list[str]]:
    if "corpus" not in work.before:
        return {}
    found = {}
    for domain, paths in corpus.shards(work.before["corpus"], part="heldout").items():
        texts = chain.from_iterable(map(read_texts, paths))
        if some := [text[:_CHARACTERS] for text in islice(texts, _DOCUMENTS)]:
            found[domain] = some
    return found


def _compact(path: Path) -> None:
    """Rewrite a JSON file without white space: a tokenizer of 32,768 pieces has 2.1 MB instead of 3.4."""
    text = json.dumps(json.loads(path.read_bytes()), ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
