"""Reads a run's sources as documents, each worker its share of the files."""

from __future__ import annotations

import glob
import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final, Literal

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.disk_base import DiskWriter
from datatrove.utils.typeshelper import StatHints

from training.cleaning.formats import entries, fields_of
from training.cleaning.readable import Entry, Fault
from training.config import Source
from training.errors import ConfigError, CorpusError

SHOWN: Final = 2_000  # characters of a dropped line that are kept
LOOKED_AT: Final = 10_000  # rows of a file among which every text field must turn up once


class SourceReader(PipelineStep):
    """Turn the files of the sources into documents.

    A document's id is source/file#number with the line or row where it begins; its metadata name source,
    profile, domain and licence. Files are dealt to the ranks by size; a rank's share of a source that is made
    up comes from `make` (source, rank, world_size). With `bad_lines` = "drop" what cannot be read goes to the
    exclusion writer, else the first such line raises CorpusError.
    """

    name = "Sources"
    type = "📖 - READER"

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        data: Path,
        bad_lines: Literal["fail", "drop"] = "fail",
        exclusion_writer: DiskWriter | None = None,
        make: Callable[[Source, int, int], Iterator[Document]] | None = None,
    ) -> None:
        super().__init__()
        self.sources = tuple(sources)
        self.data = data
        self.bad_lines = bad_lines
        self.exclusion_writer = exclusion_writer
        self.make = make

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Yield what came before, then this rank's documents in the order of the sources."""
        yield from data or ()
        files = [(source, path) for source in self.sources for path in files_of(source, data=self.data)]
        mine = set(dealt([path.stat().st_size for _, path in files], num=world_size)[rank])
        with self.exclusion_writer or nullcontext() as writer:
            for source in self.sources:
                if source.made is not None and self.make:
                    yield from map(self._counted, self.make(source, rank, world_size))
                paths = [path for at, (of, path) in enumerate(files) if of is source and at in mine]
                if paths:
                    self._check_fields(source)
                for path in paths:
                    self.stat_update("input_files")
                    yield from self._documents(source, path, writer=writer, rank=rank)

    def _documents(
        self, source: Source, path: Path, *, writer: DiskWriter | None, rank: int
    ) -> Iterator[Document]:
        """Yield the documents of one file; count and keep what is none."""
        for entry in entries(path, source):
            document = self._document(source, path, entry.number)
            if isinstance(entry, Entry) and entry.text and not entry.text.isspace():
                document.text = entry.text
                yield self._counted(document)
                continue
            reason = entry.reason if isinstance(entry, Fault) else "empty"
            if isinstance(entry, Fault):
                if self.bad_lines == "fail":
                    hint = 'repair it, or set bad_lines = "drop" to leave such lines out'
                    raise CorpusError(f"{entry.what}; {hint}", place=path, line=entry.number)
                document.text = entry.raw.decode("utf-8", errors="replace")[:SHOWN]
                document.metadata["what"] = entry.what
            self.stat_update(StatHints.total, StatHints.dropped, f"dropped_{reason}")
            if writer:
                document.metadata["filter_reason"] = reason
                writer.write(document, rank)

    def _document(self, source: Source, path: Path, number: int) -> Document:
        """Return the document of a place, without its text."""
        file = Path(os.path.relpath(path, self.data)).as_posix()
        return Document(
            text="",
            id=f"{source.name}/{file}#{number}",
            metadata={
                "source": source.name,
                "profile": source.profile,
                "domain": source.domain,
                "licence": source.licence,
            },
        )

    def _counted(self, document: Document) -> Document:
        self.stat_update(StatHints.total, StatHints.forwarded)
        self.update_doc_stats(document)
        return document

    def _check_fields(self, source: Source) -> None:
        """Find a misspelled field before the corpus is read, not after. Raises CorpusError."""
        if source.format == "text":
            return
        found: set[str] = set()
        paths = files_of(source, data=self.data)
        for path in paths:
            found |= fields_of(path, source, most=LOOKED_AT)
            if found.issuperset(source.text):
                return
        if found:
            missing = ", ".join(name for name in source.text if name not in found)
            there = ", ".join(sorted(found)[:20])
            message = (
                f"no row has the field {missing}; set `text` of the source {source.name}: there are {there}"
            )
            raise CorpusError(message, place=paths[0])


def files_of(source: Source, *, data: Path) -> list[Path]:
    """Return a source's files, sorted; none if it is made up. Raises ConfigError if nothing matches."""
    if source.path is None:
        return []
    found = glob.glob(source.path, root_dir=data, recursive=True)  # noqa: PTH207 (Path.glob refuses `..`)
    paths = [data / name for name in sorted(found)]
    files = [path for path in paths if path.is_file()]
    if not files:
        hint = f"; it is a folder: say {source.path.rstrip('/')}/*" if paths else ""
        raise ConfigError(f"source {source.name}: no file matches {source.path} under {data}{hint}")
    return files


def dealt(sizes: Sequence[int], *, num: int) -> list[list[int]]:
    """Deal items to `num` hands, the largest first and each to the lightest hand; hands keep the order."""
    hands: list[list[int]] = [[] for _ in range(num)]
    loads = [(0, hand) for hand in range(num)]  # a heap
    for item in sorted(range(len(sizes)), key=lambda at: (-sizes[at], at)):
        load, hand = loads[0]
        heapq.heapreplace(loads, (load + sizes[item], hand))
        hands[hand].append(item)
    return [sorted(hand) for hand in hands]
