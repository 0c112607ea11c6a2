"""The corpus stage: read, clean, free of duplicates and test questions, mix; in passes that scale out.

Each pass is a phase of independent tasks (cleaning/executors.py), so the same steps run on two cores and on a
cluster. What comes out: data/DOMAIN/*.jsonl.zst, heldout/DOMAIN/*.jsonl.zst, dropped/STEP/*.jsonl.zst with
the reason of each document, report.json and report.html.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers import JsonlReader

from training.cleaning import decontamination, duplicates, mixing
from training.cleaning.accounts import Account, Counted, Dropped, Kept, Shards
from training.cleaning.executors import Phase, launch
from training.cleaning.language import Language
from training.cleaning.normal import Normalised
from training.cleaning.personal import PersonalData
from training.cleaning.profiles import NearDuplicates, Profile, load_profiles
from training.cleaning.quality import Quality
from training.cleaning.reading import SourceReader, files_of
from training.cleaning.report import write_report
from training.config import Corpus, Run, Source
from training.errors import ConfigError, CorpusError
from training.made import sources
from training.recipe import Stage, Work
from training.samples import BLOCK, make_block

PASSING: Final = ("clean", "exact", "unique", "near", "distinct", "whole")  # between two passes only


def _inputs(run: Run) -> list[Path]:
    data = Path(run.data)
    files = [path for source in run.corpus.sources if source.path for path in files_of(source, data=data)]
    for evaluation in run.corpus.evaluations:
        files += decontamination.files_of(evaluation, data=data)
    if any(source.made for source in run.corpus.sources):
        files += sources()
    return files


def build(work: Work) -> dict[str, Any]:
    """Run the phases and write the report; return the figures of the summary.

    Raises CorpusError where a text cannot be read or nothing is left.
    """
    corpus, folder = work.run.corpus, work.folder
    data = Path(work.run.data).absolute()
    index = folder / "evaluations"
    if corpus.evaluations and not index.exists():
        decontamination.build_index(corpus.evaluations, data=data, folder=index)
    planned = phases(work.run, folder=folder)
    names = [phase.name for phase in planned]

    def progress(name: str, done: int, total: int) -> None:
        work.progress(name, names.index(name) + done / total, len(names))

    seconds = launch(planned, corpus.executor, folder=folder, progress=progress)
    figures = write_report(folder, run=work.run, seconds=seconds)
    for name in PASSING:
        shutil.rmtree(folder / name, ignore_errors=True)
    if not figures["documents kept"]:
        raise CorpusError(
            f"nothing is left of {figures['documents read']} documents; see {folder}/report.html"
        )
    return figures


def phases(run: Run, *, folder: Path) -> list[Phase]:
    """Return all passes over the corpus in their order."""
    corpus, tasks = run.corpus, run.corpus.executor.tasks
    profiles = load_profiles(corpus.profiles)
    for source in corpus.sources:
        if source.profile not in profiles:
            known = ", ".join(sorted(profiles))
            raise ConfigError(
                f"source {source.name}: there is no profile {source.profile}; there are {known}"
            )
    found = [Phase("clean", _clean(run, profiles, folder=folder), tasks)]
    found += _exact(corpus, folder=folder)
    if corpus.near_duplicates:
        for settings, names in _alike(corpus, profiles).items():
            found += _near(settings, names, folder=folder, tasks=tasks)
    found.append(Phase("decontaminate", _decontaminate(run, folder=folder), tasks))
    return [*found, Phase("mix", _mix(run, folder=folder), tasks)]


def _clean(run: Run, profiles: dict[str, Profile], *, folder: Path) -> list[PipelineStep]:
    corpus = run.corpus
    steps: list[PipelineStep] = [
        SourceReader(
            corpus.sources,
            data=Path(run.data).absolute(),
            bad_lines=corpus.bad_lines,
            exclusion_writer=Dropped(folder, step="unreadable"),
            make=partial(made, seed=run.seed),
        ),
        Counted(folder, place="read"),
        Normalised(),
        Language(profiles, exclusion_writer=Dropped(folder, step="language")),
        Quality(profiles, exclusion_writer=Dropped(folder, step="quality")),
    ]
    if corpus.personal_data != "keep":
        steps.append(
            PersonalData(mode=corpus.personal_data, exclusion_writer=Dropped(folder, step="personal_data"))
        )
    return [*steps, Shards(folder / "clean", by="profile")]


def made(source: Source, rank: int, world_size: int, *, seed: int) -> Iterator[Document]:
    """Yield a rank's documents of a source that the project makes up itself: its turn of the blocks."""
    for begin in range(rank * BLOCK, source.made or 0, world_size * BLOCK):
        block = make_block(source, begin=begin, seed=seed)
        for number, (text, planted) in enumerate(block, start=begin + 1):
            metadata = {"source": source.name, "profile": source.profile, "domain": source.domain}
            yield Document(text, f"{source.name}#{number}", metadata=metadata | {"planted": planted})


def _exact(corpus: Corpus, *, folder: Path) -> list[Phase]:
    tasks, work = corpus.executor.tasks, folder / "exact"
    removed = duplicates.exact_removed(work, exclusion_writer=Dropped(folder, step="duplicate"))
    return [
        Phase("exact-signatures", [Passed(folder / "clean"), duplicates.exact_signature(work)], tasks),
        Phase("exact-matches", [duplicates.exact_matches(work)], 1),
        Phase("exact", [Passed(folder / "clean"), removed, Shards(folder / "unique", by="profile")], tasks),
    ]


def _alike(corpus: Corpus, profiles: dict[str, Profile]) -> dict[NearDuplicates, list[str]]:
    """Return the profiles by how their near duplicates are found: those alike are compared together."""
    groups: dict[NearDuplicates, list[str]] = {}
    for name in sorted({source.profile for source in corpus.sources}):
        groups.setdefault(profiles[name].near_duplicates, []).append(name)
    return groups


def _near(settings: NearDuplicates, names: Sequence[str], *, folder: Path, tasks: int) -> list[Phase]:
    group = "-".join(names)
    work = folder / "near" / group
    readers = [Passed(folder / "unique" / name) for name in names]  # each passes on what the one before read
    removed = duplicates.removed(work, exclusion_writer=Dropped(folder, step="near_duplicate", part=group))
    return [
        Phase(f"near-signatures-{group}", [*readers, duplicates.signature(work, settings)], tasks),
        Phase(f"near-buckets-{group}", [duplicates.buckets(work, settings)], settings.buckets),
        Phase(f"near-clusters-{group}", [duplicates.clusters(work, settings)], 1),
        Phase(f"near-{group}", [*readers, removed, Shards(folder / "distinct", by="profile")], tasks),
    ]


def _decontaminate(run: Run, *, folder: Path) -> list[PipelineStep]:
    corpus = run.corpus
    steps: list[PipelineStep] = [Passed(folder / ("distinct" if corpus.near_duplicates else "unique"))]
    if corpus.evaluations:
        steps.append(
            decontamination.Decontaminated(
                folder / "evaluations", exclusion_writer=Dropped(folder, step="evaluation")
            )
        )
    steps.append(mixing.HeldOut(corpus.held_out, seed=run.seed, writer=Kept(folder, place="heldout")))
    return [*steps, Kept(folder, place="whole")]


class Mix(PipelineStep):
    """Apply the domain mix once the characters of all domains are known, which is when this phase begins."""

    type = "MIX"
    name = "Mix"

    def __init__(self, folder: Path, *, corpus: Corpus, seed: int) -> None:
        super().__init__()
        self.folder, self.corpus, self.seed = folder, corpus, seed

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents as often as their domain needs them."""
        mix = mix_of(self.folder, corpus=self.corpus)
        yield from mixing.Mixed(mix, seed=self.seed).run(data, rank, world_size)


def mix_of(folder: Path, *, corpus: Corpus) -> mixing.Mix:
    """Return how often each domain's documents are taken, from what the pass before counted."""
    kept = Account.total(folder / "counts" / "whole").by(1)
    available = {domain: characters for (domain,), characters in kept.characters.items()}
    return mixing.plan(available, corpus.mix, max_repeats=corpus.max_repeats)


def _mix(run: Run, *, folder: Path) -> list[PipelineStep]:
    return [
        Passed(folder / "whole"),
        Mix(folder, corpus=run.corpus, seed=run.seed),
        Kept(folder, place="data"),
    ]


class Passed(JsonlReader):
    """Read what a pass before wrote; it may have written nothing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(str(folder), glob_pattern="**/*.jsonl.zst", compression="zstd", add_file_path=False)

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield what came before, then this rank's shards."""
        if self.data_folder.list_files(glob_pattern=self.glob_pattern):
            yield from super().run(data, rank, world_size)
        else:
            yield from data or ()


def shards(folder: Path, *, part: str = "data") -> dict[str, Sequence[Path]]:
    """Return the files of a finished corpus by domain; `part` is data or heldout."""
    domains = sorted(path for path in (folder / part).glob("*") if path.is_dir())
    return {domain.name: sorted(domain.glob("*.jsonl.zst")) for domain in domains}


STAGE: Final = Stage(
    name="corpus", settings=lambda run: run.corpus, inputs=_inputs, build=build, resumes=True
)
