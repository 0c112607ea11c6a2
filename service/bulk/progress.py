"""How far a long run is: a bar on a terminal, else a line every ten seconds, and what came out of it."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final

from tqdm import tqdm

from service.bulk.ledger import Totals

LINE_EVERY_S: Final = 10.0


class Progress:
    """Follows the rows of one run; those of earlier runs count as done, but not into the rate.

    The block is the time in which rows are answered: what is before it, such as starting an engine, is not.
    """

    def __init__(self, totals: Totals, *, total: int | None) -> None:
        self._totals = totals
        self._total = total
        self._before = totals.rows
        self._recalled = 0
        self._begun = self._next_line = self._ended = 0.0
        self._bar: tqdm[Any]

    def __enter__(self) -> Progress:
        self._begun = time.monotonic()
        self._next_line = self._begun + LINE_EVERY_S
        self._bar = tqdm(
            total=self._total,
            initial=self._before,
            unit=" rows",
            file=sys.stderr,
            disable=None,
            smoothing=0.05,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = time.monotonic()
        self._bar.close()

    def seen(self, recalled: bool) -> None:
        """Count a row; `recalled` if no engine was asked for it."""
        self._recalled += recalled
        self._bar.update()
        if not self._bar.disable:
            self._bar.set_postfix_str(
                f"{self._totals.num_errors} bad, {self._share():.0%} from the store", refresh=False
            )
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            print(self._line(), file=sys.stderr, flush=True)

    def summary(self) -> list[str]:
        """Return what came out, line by line."""
        totals = self._totals
        answered = totals.rows - totals.num_errors
        lines = [
            f"{totals.rows:,} rows: {answered:,} answered, {totals.with_model:,} of them with a model"
            f" ({totals.with_model / max(1, answered):.0%}), {totals.num_errors:,} bad"
        ]
        if totals.errors:
            codes = ", ".join(f"{code} {count:,}" for code, count in totals.errors.most_common())
            lines.append(f"bad rows by reason: {codes}")
        if self._num:
            lines.append(
                f"this run: {self._num:,} rows in {tqdm.format_interval(self._seconds)},"
                f" {self._rate():,.1f} rows/s,"
                f" {self._share():.0%} from the store"
            )
        return lines

    @property
    def _num(self) -> int:
        return self._totals.rows - self._before

    @property
    def _seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._begun

    def _rate(self) -> float:
        return self._num / max(1e-3, self._seconds)

    def _share(self) -> float:
        return self._recalled / max(1, self._num)

    def _line(self) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        rate = self._rate()
        left = ""
        if self._total is not None and rate > 0:
            left = f", {tqdm.format_interval((self._total - self._totals.rows) / rate)} left"
        return (
            f"{self._totals.rows:,}{of} rows, {rate:,.1f} rows/s{left},"
            f" {self._totals.num_errors:,} bad, {self._share():.0%} from the store"
        )
