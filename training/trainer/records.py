"""A training's log: one JSON object a line, appended and flushed step by step, for programs and the plot.

Every line has `event` and `time` (seconds since 1970). Events: start, resume, step, spike, rewind,
checkpoint, end. `step` counts from 0; in start, resume and checkpoint it is the next one to take. A number
that is not finite is null.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Record = dict[str, Any]
Event = Literal["start", "resume", "step", "spike", "rewind", "checkpoint", "end"]
_BLOCK: Final = 2**16


class Log:
    """The log, open to be written on. What a kill left of a last line is cut off first."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._file.truncate(_whole_lines(path))

    def write(self, event: Event, **fields: Any) -> None:
        """Append a line; a kill of this process does not take it back."""
        record = {"event": event, "time": round(time.time(), 3), **fields}
        line = json.dumps({name: _finite(value) for name, value in record.items()}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Curve:
    """The steps of the present course, one record each; the rewinds; by rewind the steps that it took back.

    The last of what was taken back is the spike itself.
    """

    steps: list[Record] = field(default_factory=list)
    abandoned: list[list[Record]] = field(default_factory=list)
    rewinds: list[Record] = field(default_factory=list)


def read_log(path: Path) -> list[Record]:
    """Return the whole lines of a log, which may be written on meanwhile."""
    with path.open("rb") as file:
        return [json.loads(line) for line in file if line.endswith(b"\n")]


def curve(records: Iterable[Record]) -> Curve:
    """Return what the log tells of each step at last: a resumed run repeats some of them."""
    found, course, spike = Curve(), dict[int, Record](), dict[str, Any]()
    for record in records:
        if record["event"] == "start":
            found, course = Curve(), {}
        elif record["event"] == "step":
            course[record["step"]] = record
        elif record["event"] == "spike":
            spike = record
        elif record["event"] == "rewind":
            found.rewinds.append(record)
            left = sorted(step for step in course if step >= record["to_step"])
            found.abandoned.append([*(course.pop(step) for step in left), spike | record])
    found.steps = [course[step] for step in sorted(course)]
    return found


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _whole_lines(path: Path) -> int:
    """Return the size of the file up to its last line's end, looking back from its end."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at:
            begin = max(0, at - _BLOCK)
            file.seek(begin)
            end = file.read(at - begin).rfind(b"\n")
            if end >= 0:
                return begin + end + 1
            at = begin
    return 0
