"""Reads evaluation sets into what is looked for: each question, and whether it says enough by itself."""

from __future__ import annotations

import glob
import gzip
import json
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from training.cleaning.shingles import plain
from training.config import Evaluation
from training.errors import ConfigError, CorpusError

LONG: Final = 13  # words: so many in a row are a quotation, as GPT-3's decontamination took it
ENOUGH: Final = 3  # words of its own that a shorter question needs to be looked for without its choices,
SENTENCE: Final = 6  # or one such word in so many
ANCHOR: Final = 12  # letters and digits, which is what texts are searched for

_WORDS: Final = tomllib.loads(Path(__file__).with_name("exam_words.toml").read_text(encoding="utf-8"))
_JOINING: Final = frozenset(_WORDS["joining"].split())
_ASKING: Final = tuple(_WORDS["asking"].split())


@dataclass(frozen=True)
class Question:
    """A question of an evaluation set, letters and digits only, without spaces.

    `starts`: where its words begin. `alone`: it is looked for without its choices.
    """

    evaluation: str
    name: str
    text: str
    starts: tuple[int, ...]
    choices: tuple[str, ...] = ()
    alone: bool = True


def files_of(evaluation: Evaluation, *, data: Path) -> list[Path]:
    """Return the files of an evaluation set, whose path may be a glob. Raises ConfigError without any."""
    found = glob.glob(evaluation.path, root_dir=data, recursive=True)  # noqa: PTH207 (Path.glob refuses `..`)
    files = [path for name in sorted(found) if (path := data / name).is_file()]
    if not files:
        raise ConfigError(f"evaluation {evaluation.name}: there is no file {data / evaluation.path}")
    return files


def read_questions(evaluation: Evaluation, *, data: Path) -> list[Question]:
    """Return what is looked for of an evaluation set.

    The first field is the question. The others, and lists of strings, are its choices; of those that are long
    each is looked for too. Raises CorpusError with file and line, ConfigError if a field is missing.
    """
    paths = files_of(evaluation, data=data)
    found: list[Question] = []
    for path, line, row in ((file, *read) for file in paths for read in _rows(file)):
        name = str(row.get("id", line))
        texts, *others = [_texts(row, field, path=path, line=line) for field in evaluation.text]
        choices = [plain(choice) for field in others for choice in field if _has_words(choice)]
        asked = "\n".join(texts)
        if _has_words(asked):
            found.append(_question(evaluation.name, name, plain(asked), choices=choices))
        long = [choice for choice in choices if choice.count(" ") + 1 >= LONG]
        found += [_question(evaluation.name, name, choice) for choice in long]
    if not found:
        raise CorpusError(f"evaluation {evaluation.name} has no questions", place=paths[0])
    return found


def _question(evaluation: str, name: str, text: str, *, choices: Sequence[str] = ()) -> Question:
    words = text.split()
    own = [word for word in words if word not in _JOINING and not word.startswith(_ASKING)]
    enough = len(words) >= LONG or len(own) >= (1 if len(words) >= SENTENCE else ENOUGH)
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return Question(
        evaluation,
        name,
        "".join(words),
        tuple(starts[:-1]),
        tuple(choice.replace(" ", "") for choice in choices),
        alone=enough and starts[-1] >= ANCHOR,
    )


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    line = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line, content in enumerate(file, start=1):
                if content.strip():
                    row = json.loads(content)
                    if not isinstance(row, dict):
                        raise ValueError("not a JSON object")
                    yield line, row
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CorpusError(f"evaluation set cannot be read: {error}", place=path, line=line or None) from error


def _texts(row: dict[str, Any], field: str, *, path: Path, line: int) -> list[str]:
    value = row.get(field)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{path}:{line}: no text in field {field!r}; fields: {', '.join(row)}")
    return texts


def save_questions(questions: Sequence[Question], path: Path) -> None:
    """Write the questions, one a line."""
    lines = [json.dumps(asdict(question), ensure_ascii=False) + "\n" for question in questions]
    path.write_text("".join(lines), encoding="utf-8")


def load_questions(path: Path) -> list[Question]:
    """Read the questions again."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        rows = [json.loads(line) for line in lines]
    return [Question(**row | {key: tuple(row[key]) for key in ("starts", "choices")}) for row in rows]
