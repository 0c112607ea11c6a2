"""The dialogues stage: conversations become rows of tokens of which only the assistant's answers are trained.

Each is rendered by the tokenizer's own chat template, as the service and vLLM do. What no row can hold is
dropped and counted: an answer without its end teaches never to stop.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from training.cleaning.adult import find_adult
from training.config import Dialogues, Run
from training.dialogues.made import make_dialogues
from training.dialogues.reading import Turn, dialogue_files, read_dialogues
from training.dialogues.rendering import Chat, Rendered
from training.errors import CorpusError
from training.made import sources
from training.packed.meta import create_store
from training.packed.tokens import TokenWriter
from training.packing import pack_store
from training.recipe import Work
from training.vocabulary.loading import load_vocabulary

_Placed = tuple[Path | str, int, list[Turn]]
_ADULT: Final = "dropped as for adults"


def inputs(run: Run) -> list[Path]:
    """Return the files that the stage reads. Raises ConfigError where a name matches none."""
    found = [path for one in run.dialogues for path in dialogue_files(one, data=Path(run.data))]
    return found + (sources() if any(one.made for one in run.dialogues) else [])


def build(work: Work, *, vocabulary_folder: Path, lengths: Sequence[int]) -> dict[str, Any]:
    """Write the dialogues of the run as tokens and pack them into rows of these lengths; return figures.

    Each `[[dialogues]]` is a domain. Raises CorpusError with file and line for what is no dialogue.
    """
    create_store(
        work.folder,
        vocabulary=load_vocabulary(str(vocabulary_folder)),
        vocabulary_folder=vocabulary_folder,
    )
    chat, longest = Chat(vocabulary_folder), min(lengths)
    counts = {"dialogues": 0, "trained tokens": 0, "dropped as too long": 0, _ADULT: 0}
    for at, one in enumerate(work.run.dialogues):
        work.progress(one.name, at, len(work.run.dialogues))
        with TokenWriter(work.folder, domain=one.name) as writer:
            for rendered in _rendered(one, run=work.run, chat=chat, counts=counts):
                if len(rendered.ids) - 1 > longest:  # the last token is foretold only
                    counts["dropped as too long"] += 1
                    continue
                writer.add(rendered.ids, trained=rendered.trained)
                counts["dialogues"] += 1
                counts["trained tokens"] += sum(rendered.trained)
    if not counts["dialogues"]:
        raise CorpusError(
            f"no dialogue is left: {counts['dropped as too long']:,} are longer than a row of {longest:,} "
            "tokens; raise sequence_length"
        )
    return counts | pack_store(work.folder, lengths=lengths, seed=work.run.seed)


def _rendered(dialogues: Dialogues, *, run: Run, chat: Chat, counts: dict[str, int]) -> Iterator[Rendered]:
    """Yield the tokens of every dialogue; name the place of one that cannot be rendered."""
    for place, line, turns in _read(dialogues, run=run, counts=counts):
        try:
            yield chat.render(turns)
        except ValueError as error:
            raise CorpusError(str(error), place=place, line=line) from error


def _read(dialogues: Dialogues, *, run: Run, counts: dict[str, int]) -> Iterator[_Placed]:
    if dialogues.made is not None:
        assert dialogues.prompt is not None, "the config saw to it"
        made = make_dialogues(dialogues.made, prompt=dialogues.prompt, name=dialogues.name, seed=run.seed)
        for number, turns in enumerate(made, start=1):
            yield f"{dialogues.name} (made up)", number, turns
        return
    found = _stored(dialogues, data=Path(run.data), counts=counts)
    if dialogues.limit is None:
        yield from found
        return
    rng = random.Random(f"{run.seed}/{dialogues.name}")  # noqa: S311 - no secret
    drawn: list[_Placed] = []  # reservoir sampling (Vitter 1985, algorithm R)
    for number, one in enumerate(found):
        if number < dialogues.limit:
            drawn.append(one)
        elif (at := rng.randrange(number + 1)) < dialogues.limit:
            drawn[at] = one
    yield from drawn


def _stored(dialogues: Dialogues, *, data: Path, counts: dict[str, int]) -> Iterator[_Placed]:
    for path in dialogue_files(dialogues, data=data):
        for line, turns in read_dialogues(path):
            if dialogues.adult == "drop" and any(find_adult(turn.content) for turn in turns):
                counts[_ADULT] += 1
            else:
                yield path, line, turns
