"""`group` on the command line: reads bulk's output, or raw listings by way of bulk, and shows the groups."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import orjson

from service.bulk.feed import COLUMNS
from service.bulk.grouping import Group, Grouping, told
from service.bulk.ledger import OutputError
from service.bulk.offline import OF_THE_MOMENT, BulkOptions, run_bulk
from service.bulk.rows import read_rows
from service.settings import Settings
from service.shapes.extract_model import ExtractModelResponse

LOOKED_AT: Final = 100  # rows that may tell whether they are answers already
MEMBERS_SHOWN: Final = 20  # of one group; JSON has all


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions:
    """The command line of `group`."""

    source: Path
    json: Path | None = None
    min_size: int = 2
    min_confidence: float = 0.0
    any_seller: bool = False
    top: int = 50
    bulk: BulkOptions


async def run_group(options: GroupOptions, settings: Settings) -> None:
    """Group the rows' listings, print the largest groups on stdout, write all of them as JSON.

    Raises:
        InputError, OutputError; for raw listings all that `run_bulk` raises.

    """
    source = options.source
    if not _answered(source):
        await run_bulk(options.bulk, settings)
        source = options.bulk.out
    with Grouping(any_seller=options.any_seller, min_confidence=options.min_confidence) as grouping:
        for _, row in read_rows(source, columns=(*COLUMNS, "result")):
            if isinstance(row, dict) and _is_answer(row.get("result")):
                grouping.add(row)
            else:
                grouping.apart["no result in the row"] += 1
        with _writing(options.json) as file:
            _show(grouping, file, options)


def models_path(source: Path) -> Path:
    """Return where the answers for raw listings are kept: beside them, for the next time."""
    return source.with_name(f"{source.name.partition('.')[0]}.models.jsonl")


def _answered(source: Path) -> bool:
    rows = itertools.islice(read_rows(source, columns=(*COLUMNS, "result")), LOOKED_AT)
    return any(isinstance(row, dict) and "result" in row for _, row in rows)


def _is_answer(result: Any) -> bool:
    wanted = ExtractModelResponse.model_fields.keys() - OF_THE_MOMENT
    return isinstance(result, dict) and wanted <= result.keys()


@contextmanager
def _writing(path: Path | None) -> Iterator[TextIO | None]:
    """Open a file that is there only once it is complete."""
    if path is None:
        yield None
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _show(grouping: Grouping, file: TextIO | None, options: GroupOptions) -> None:
    num_groups = num_grouped = 0
    for group in _written(grouping.groups(min_size=options.min_size), file):
        if num_groups < options.top:
            print(*told(group, max_members=MEMBERS_SHOWN), "", sep="\n")
        num_groups += 1
        num_grouped += len(group.members)
    if (more := num_groups - options.top) > 0:
        print(f"… and {more:,} smaller groups{'' if options.json else ', all of them with --json'}\n")
    print(f"{grouping.num_listings:,} listings: {num_grouped:,} in {num_groups:,} groups; in none:")
    for reason, count in grouping.apart.most_common():
        if count:
            print(f"  {count:>9,}  {reason}")


def _written(groups: Iterable[Group], file: TextIO | None) -> Iterator[Group]:
    """Pass the groups on, each written as it passes: there may be more than fit in memory."""
    begin = "["
    for group in groups:
        if file:
            file.write(f"{begin}\n{_json(group.document())}")
            begin = ","
        yield group
    if file:
        file.write("\n]\n" if begin == "," else "[]\n")


def _json(document: dict[str, Any]) -> str:
    return orjson.dumps(document).decode()
