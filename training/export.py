"""The last stage: a folder that Hugging Face and vLLM load, with the card that the service serves it by.

It is done once it was read back: weights, token ids and chat prompts in transformers are what was trained,
and the real vLLM gives the same greedy answers.
"""

from __future__ import annotations

import datetime
import json
import math
import shlex
from pathlib import Path
from typing import Any, Final

from models.folders import MANIFEST
from training.errors import CheckpointError, ConfigError
from training.handover.agreement import check_installed
from training.handover.companions import write_companions, write_notice
from training.handover.passport import DEPLOYMENT, make_card, write_card
from training.handover.proof import prove
from training.handover.readme import write_readme
from training.handover.shipping import pack_export
from training.handover.tasks import context_length, task_settings
from training.handover.tokens import check_rows, num_rows
from training.handover.weights import write_weights
from training.optimization import Export
from training.recipe import Work
from training.swap.checkpoint import read_json
from training.swap.stored import find_tensors
from training.vocabulary.loading import load_vocabulary

ENGINE_LOG: Final = "engine-check.log"  # beside the stages' folders, of the last try
_NEEDED: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")


def build(work: Work, *, trained: Path) -> dict[str, Any]:
    """Fill `work.folder` from the folder that the last training left, check it, return figures.

    `serve` among them is the command that serves it. Raises ConfigError, CheckpointError, and TrainingError
    where vLLM should be asked and is not there; an OSError of a full disk is the caller's to explain.
    """
    settings = work.run.export
    assert settings is not None
    _check_before(settings, trained=trained)
    config, vocabulary = read_json(trained / "config.json", missing=""), load_vocabulary(str(trained))
    rows, context = num_rows(config), context_length(settings, config=config)
    check_rows(vocabulary, rows=rows, trained=trained, tokenizer=work.before.get("tokenizer"))
    tasks, tensors = task_settings(settings, context=context), find_tensors(trained)

    work.progress("weights", 0, 2)
    shards = write_weights(tensors, folder=work.folder, shard_mb=settings.shard_mb)
    write_companions(trained, config=config, vocabulary=vocabulary, folder=work.folder)
    if settings.notice:
        write_notice(settings.notice, folder=work.folder)
    work.progress("reading it back", 1, 2)
    proof = prove(
        work.folder,
        tensors=tensors,
        vocabulary=vocabulary,
        rows=rows,
        template=work.run.tokenizer.chat_template if work.run.tokenizer else None,
        context=context,
        engine_log=work.folder.with_name(ENGINE_LOG) if settings.check_engine else None,
    )
    published = _published(work.folder)
    figures = {name: _figures(place) for name, place in work.before.items()}
    last = next((name for name, place in work.before.items() if trained.is_relative_to(place)), "")
    card = make_card(
        work.run,
        folder=work.folder,
        published=published,
        shards=shards,
        fingerprint=proof.fingerprint,
        rows=rows,
        context=context,
        tasks=tasks,
        figures=figures.get(last, {}),
        measured=datetime.date.fromtimestamp((trained / "config.json").stat().st_mtime),
    )
    write_card(card, folder=work.folder, published=published)
    told = proof.figures | pack_export(work, card=card)
    # By the link, which leads to the newest export; the card itself names the folder that its hashes are of.
    serve = f"LLM_DEPLOYMENT={shlex.quote(str(published.with_name('export') / DEPLOYMENT))} make serve"
    write_readme(card, run=work.run, stages=figures | {"export": told}, serve=serve, folder=work.folder)
    return {
        "parameters": sum(math.prod(tensor.shape) for tensor in tensors),
        "MB": sum(shard.stat().st_size for shard in shards) / 1e6,
        "files": len(shards),
        **told,
        "serve": serve,
    }


def _check_before(settings: Export, *, trained: Path) -> None:
    """Raise what can be told before the first byte is written."""
    if settings.check_engine:
        check_installed()
    if f"{settings.name}.toml" == DEPLOYMENT:
        raise ConfigError(f"export.name: {DEPLOYMENT} is a file of its own: take another name")
    if lost := [name for name in _NEEDED if not (trained / name).is_file()]:
        raise CheckpointError(f"{trained / lost[0]}: is not there: what is exported has {', '.join(_NEEDED)}")


def _published(folder: Path) -> Path:
    """Return where the folder will be once it is whole; resolved, since no card may hold `..`."""
    return folder.resolve().with_name(folder.name.removesuffix(".partial"))


def _figures(stage: Path) -> dict[str, Any]:
    """Return what a finished stage told of itself; nothing of a folder that is no stage's."""
    try:
        figures: dict[str, Any] = json.loads((stage / MANIFEST).read_bytes())["about"].get("figures", {})
    except (OSError, ValueError, KeyError):
        return {}
    return figures
