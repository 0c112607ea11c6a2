"""`tokenizer-report`: compare tokenizers on texts as a table, a plot and JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from training.errors import TokenizerError
from training.vocabulary.base import Vocabulary
from training.vocabulary.chart import draw
from training.vocabulary.loading import load_vocabulary
from training.vocabulary.measure import Measured, measure
from training.vocabulary.texts import read_texts

_LIMIT: Final = 2_000  # documents; ± of characters per token is below 2 % from a few hundred on
_WIDTH: Final = 140  # where the output is no terminal
_HEADINGS: Final = (
    *("characters\nper token", "bytes\nper token", "tokens\nper word", "words of\none token"),
    *("byte\nfallback", "unknown", "changed by\nround trip", "MB/s"),
)


@dataclass(frozen=True)
class Report:
    """A row for every tokenizer on every set of texts, the sets in turn."""

    rows: Sequence[Measured]

    def table(self) -> Table:
        """Return the rows as a table, with a line between the sets."""
        table = Table()
        for heading in ("texts (documents)", "tokenizer (vocabulary)"):
            table.add_column(heading, overflow="fold")
        for heading in _HEADINGS:
            table.add_column(heading, justify="right", no_wrap=True)
        for row, following in zip(self.rows, [*self.rows[1:], None], strict=True):
            end = following is None or following.texts != row.texts
            table.add_row(*_cells(row), end_section=end)
        return table

    def save(self, folder: Path) -> list[Path]:
        """Write report.json, report.png and report.svg and return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"rows": [asdict(row) for row in self.rows]}
        path = folder / "report.json"
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        return [path, *draw(self.rows, folder=folder)]


def report(vocabularies: Sequence[Vocabulary], texts: Mapping[str, Sequence[str]]) -> Report:
    """Measure every tokenizer on every set of texts. Raises TokenizerError for an empty set."""
    return Report([measure(one, found, name=name) for name, found in texts.items() for one in vocabularies])


def main(argv: Sequence[str]) -> int:
    """Print the table and, where `--out` asks for it, keep it with a plot. Raises TrainingError."""
    arguments = _parser().parse_args(argv)
    vocabularies = [load_vocabulary(reference) for reference in arguments.tokenizers]
    texts = {}
    for told in arguments.texts:
        name, equals, path = told.partition("=")
        if not equals:
            raise TokenizerError(f"--texts {told}: give NAME=FILE")
        texts[name] = list(islice(read_texts(Path(path), field=arguments.field), arguments.limit))
    found = report(vocabularies, texts)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=_WIDTH)).print(found.table())
    for path in found.save(arguments.out) if arguments.out else []:
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training tokenizer-report", description=__doc__)
    parser.add_argument("tokenizers", nargs="+", metavar="TOKENIZER", help=load_vocabulary.__doc__)
    parser.add_argument(
        "--texts",
        nargs="+",
        required=True,
        metavar="NAME=FILE",
        help="jsonl or plain text, also .gz and .zst",
    )
    parser.add_argument("--field", default="text", help="the field of a jsonl file that holds the text")
    parser.add_argument("--limit", type=int, default=_LIMIT, metavar="N", help="documents of each file")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where report.json, .png and .svg are written"
    )
    return parser


def _cells(row: Measured) -> list[str]:
    return [
        f"{row.texts} ({row.documents:,})",
        f"{row.tokenizer} ({row.vocabulary:,})",
        f"{row.characters_per_token:.2f} ± {row.plus_minus:.2f}",
        f"{row.bytes_per_token:.2f}",
        f"{row.tokens_per_word:.2f}",
        f"{row.one_token_words:.1%}",
        f"{row.byte_fallback:.2%}",
        f"{row.unknown:.2%}",
        f"{row.round_trip_failures:,}",
        f"{row.megabytes_per_second:.1f}",
    ]
