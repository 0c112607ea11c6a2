"""The recipe's stages in their order. A new one is its module, one line here, one section in config.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from models.card import CARDS
from models.store import default_cache
from training import corpus, export, packing, sft
from training.bases import resolve_base
from training.clip import stages as clip
from training.config import Run
from training.embeddings import swap_embeddings
from training.errors import CheckpointError
from training.handover.tasks import task_settings
from training.optimization import Training
from training.recipe import Stage, Work
from training.scoring import bits_per_character
from training.section import Section
from training.tokenizer import train_tokenizer
from training.vocabulary.base import Vocabulary
from training.vocabulary.comparison import report
from training.vocabulary.loading import load_vocabulary
from training.vocabulary.sample import sample
from training.vocabulary.texts import read_texts

COMPARED: Final = 1_000  # held-out documents a domain
CONTEXT: Final = 512
ANY_CONTEXT: Final = 2**20  # tokens: the model's own is not known before it is there
SCORED: Final = 1_000  # characters of a document: twenty novels whole would take hours on a CPU
_FINGERPRINTED: Final = ("config.json", "*.safetensors", "tokenizer*", "tekken*.json")


def train(work: Work) -> dict[str, Any]:
    """Train the vocabulary on the corpus and compare it on the documents held out."""
    settings = work.run.tokenizer
    assert settings
    texts = sample(
        corpus.shards(work.before["corpus"]),
        budget_mb=settings.sample_mb,
        upweight=settings.upweight,
        seed=work.run.seed,
    )
    base = _model(work, "base") if settings.grow_from == "base" else None
    figures = train_tokenizer(texts, settings=settings, folder=work.folder, base=base, progress=work.progress)
    held_out = _held_out(work, limit=COMPARED)
    if not held_out:
        return figures
    work.progress("comparing", 1, 1)
    new = load_vocabulary(str(work.folder))
    new.name = work.run.name  # not that of the folder, which is half-made
    found = report([new, *map(_vocabulary, settings.compare_with)], held_out)
    found.save(work.folder / "report")
    for row in found.rows:
        if row.tokenizer == new.name:
            figures[f"characters a token, {row.texts}"] = round(row.characters_per_token, 2)
    return figures


def swap(work: Work, *, model: str = "base") -> dict[str, Any]:
    """Give the base the new vocabulary; score both on documents held out, if the run asks for it."""
    settings = work.run.embeddings
    assert settings
    base, tokenizer = _model(work, model), work.before["tokenizer"]
    shards = corpus.shards(work.before["corpus"])
    budget = settings.focus_sample_mb
    texts = sample(shards, budget_mb=budget, upweight={}, seed=work.run.seed)
    work.progress(settings.method, 0, 1)
    figures = swap_embeddings(
        base,
        old=load_vocabulary(str(base)),
        new=load_vocabulary(str(tokenizer)),
        tokenizer=tokenizer,
        target=work.folder,
        method=settings.method,
        seed=work.run.seed,
        shard_mb=settings.shard_mb,
        corpus=texts,
        dimensions=settings.focus_dimensions,
    )
    for domain, texts_of in _held_out(work, limit=settings.score_documents).items():
        held_out = [text[:SCORED] for text in texts_of]
        work.progress(f"scoring {domain}", 1, 1)
        before, after = (bits_per_character(one, held_out, context=CONTEXT) for one in (base, work.folder))
        figures[f"bits a character, {domain}"] = f"{before.value:.3f} → {after.value:.3f}"
    return figures


def _held_out(work: Work, *, limit: int) -> dict[str, list[str]]:
    """Return the first documents of each domain that were kept for measuring."""
    if not limit:
        return {}
    shards = corpus.shards(work.before["corpus"], part="heldout")
    texts = {domain: _texts(paths) for domain, paths in shards.items()}
    return {domain: found for domain, some in texts.items() if (found := list(islice(some, limit)))}


def _texts(paths: Any) -> Iterator[str]:
    return chain.from_iterable(map(read_texts, paths))


def _vocabulary(reference: str) -> Vocabulary:
    if reference.startswith("card:"):
        return load_vocabulary(str(resolve_base(reference, cache=default_cache())))
    return load_vocabulary(reference)


def _base(data: str, reference: str) -> Path:
    """Return the base's folder; a relative one begins where the sources do, or here."""
    beside = Path(data) / reference
    return resolve_base(str(beside) if beside.is_dir() else reference, cache=default_cache())


def _base_inputs(run: Run) -> list[Path | str]:
    """Return what tells one base from another, its name included. A folder is looked into first of all."""
    assert run.base
    reference, data = run.base.checkpoint, run.data
    found: list[Path | str] = [reference]
    if reference.startswith("card:"):
        card = CARDS / f"{reference.removeprefix('card:')}.toml"
        return [*found, card] if card.is_file() else found
    if reference == "tiny" or reference.startswith("hf://"):
        return found
    folder = _base(data, reference)
    files = [path for pattern in _FINGERPRINTED for path in sorted(folder.glob(pattern)) if path.is_file()]
    if not files:
        raise CheckpointError(f"base {reference}: {folder} has neither config.json nor weights")
    return found + files


def stages_of(run: Run) -> list[Stage]:
    """Return the stages of a run in their order: what trains in the base's vocabulary, the swap, the rest."""
    if run.clip:
        return [stage for stage in clip.STAGES if stage.settings(run) is not None]
    early = [training for training in run.training if training.vocabulary == "base"]
    late = [training for training in run.training if training.vocabulary == "new"]
    found = [corpus.STAGE, _TOKENIZER]
    found += _trained(run, early, model="base", vocabulary="base")
    found.append(replace(_EMBEDDINGS, build=partial(swap, model=early[-1].name if early else "base")))
    model = "embeddings" if run.embeddings else "base"
    found += _trained(run, late, model=model, vocabulary=model)
    if run.export:
        task_settings(run.export, context=ANY_CONTEXT)  # a wrong name is found before days of training
        found.append(_export(run.training[-1].name))
    return [stage for stage in found if stage.settings(run) is not None]


def _trained(run: Run, trainings: Sequence[Training], *, model: str, vocabulary: str) -> list[Stage]:
    """Return the stages that train `model` further, their data in the vocabulary of a stage or the base."""
    suffix = "-base" if vocabulary == "base" and run.embeddings else ""
    found = []
    for name, make, data in (("packing", packing.build, "documents"), ("dialogues", sft.build, "dialogues")):
        lengths = sorted({one.sequence_length for one in trainings if one.data == data})
        if lengths:
            found.append(_data(name + suffix, make, lengths=lengths, vocabulary=vocabulary))
    for training in trainings:
        found.append(_training(training, model=model, suffix=suffix))
        model = training.name
    return found


def _training(training: Training, *, model: str, suffix: str) -> Stage:
    store = ("packing" if training.data == "documents" else "dialogues") + suffix

    def build(work: Work) -> dict[str, Any]:
        from training.loop import build  # torch.distributed and transformers take seconds

        return build(work, training=training, base=_model(work, model), store=work.before[store])

    def inputs(run: Run) -> list[Path | str]:
        return _base_inputs(run) if model == "base" else []

    return Stage(training.name, lambda _: training, inputs, build, resumes=True, collective=True)


def _data(
    name: str, make: Callable[..., dict[str, Any]], *, lengths: Sequence[int], vocabulary: str
) -> Stage:
    def build(work: Work) -> dict[str, Any]:
        return make(work, vocabulary_folder=_model(work, vocabulary), lengths=lengths)

    def inputs(run: Run) -> list[Path | str]:
        found: list[Path | str] = [f"rows of {length}" for length in lengths]
        found += _base_inputs(run) if vocabulary == "base" else []
        if make is sft.build:
            found += [one.model_dump_json() for one in run.dialogues]
            found += sft.inputs(run)
        return found

    return Stage(name, settings=lambda _: Section(), inputs=inputs, build=build, resumes=True)


def _export(trained: str) -> Stage:
    def build(work: Work) -> dict[str, Any]:
        return export.build(work, trained=work.before[trained])

    return Stage("export", settings=lambda run: run.export, inputs=lambda run: [], build=build)


def _model(work: Work, stage: str) -> Path:
    """Return the model folder that a stage has left, or the base's."""
    assert work.run.base
    return _base(work.run.data, work.run.base.checkpoint) if stage == "base" else work.before[stage]


_TOKENIZER: Final = Stage(
    "tokenizer",
    settings=lambda run: run.tokenizer,
    inputs=lambda run: _base_inputs(run) if run.tokenizer and run.tokenizer.grow_from == "base" else [],
    build=train,
)
_EMBEDDINGS: Final = Stage(
    "embeddings", settings=lambda run: run.embeddings, inputs=lambda run: _base_inputs(run), build=swap
)
