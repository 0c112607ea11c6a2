"""How long the whole corpus stage takes, pass by pass, on the clean corpora of the project's own run file."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from functools import partial

from tests.bench.report import ROOT, Result, Skipped
from training import corpus
from training.cleaning.reading import SourceReader
from training.config import load_run
from training.recipe import Progress, execute

RUN = ROOT / "training" / "runs" / "gemma3-270m.toml"
DATA = ROOT.parent / "shared" / "data"
QUICK = 500  # made-up listings, and nothing else


async def run(*, quick: bool) -> Result:
    """Run the stage as `python -m training run` does, two workers, and read its own account."""
    if not DATA.exists():
        raise Skipped(f"the real texts are not at {DATA}")
    found = load_run(RUN)
    if quick:
        (made,) = (source for source in found.corpus.sources if source.made)
        small = {"sources": (made.model_copy(update={"made": QUICK}),), "mix": {}}
        found = found.model_copy(update={"corpus": found.corpus.model_copy(update=small)})
    with tempfile.TemporaryDirectory() as out:
        here = found.model_copy(update={"data": str(DATA), "out": out})
        (outcome,) = execute(here, [corpus.STAGE], progress=_silent)
        report = json.loads((outcome.folder / "report.json").read_text(encoding="utf-8"))
        reader = SourceReader(here.corpus.sources, data=DATA, make=partial(corpus.made, seed=here.seed))
        megabytes = sum(len(document.text.encode()) for document in reader.run()) / 1e6
    seconds = report["seconds"]
    result = Result(
        compared=f"the corpus stage of {RUN.name}, two workers; every pass goes over all of it, but near "
        "duplicates, which go by profile"
    )
    result.add("documents read", report["read"]["documents"], "")
    result.add("text read", megabytes, "MB")
    result.add("characters kept", report["kept"]["share"], "%")
    for phase, time_s in seconds.items():
        result.add(phase, time_s, "s")
    result.add("all passes", sum(seconds.values()), "s")
    result.add("all passes, two workers", megabytes / sum(seconds.values()), "MB/s")
    result.details["reasons"] = {row["reason"]: row["documents"] for row in report["reasons"]}
    return result


@contextlib.contextmanager
def _silent(stage: str) -> Iterator[Progress]:
    yield lambda note, done, total: None
