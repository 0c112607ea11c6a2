"""How a row of digit groups is written: what tells sizes, prices and dates from one long number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Final

from training.cleaning.digits import NOTHING, Group, Run

_DATE: Final = re.compile(
    r"(?<!\d)[0-3]?\d([./-])[01]?\d\1(?:19|20)\d\d(?!\d)|(?<!\d)(?:19|20)\d\d-[01]\d-[0-3]\d(?!\d)"
    r"|(?:19|20)\d\d\D+(?:19|20)\d\d\Z"
)
_HOURS: Final = re.compile(
    r"(?:[01]?\d|2[0-4])[ .:-][0-5]\d(?:[ -]{1,3}(?:[01]?\d|2[0-4])[ .:-][0-5]\d| - (?:[01]?\d|2[0-4])\Z)"
)
_TYRE: Final = re.compile(r"[1-3]\d5\D[2-8][05]\D(?:1[2-9]|2[0-4])")
_LIST: Final = re.compile(r"[,;:\n=<>]|\s\|")


@dataclass(frozen=True)
class Row:
    """Neighbouring groups, with those before and after them."""

    folded: str
    groups: Run
    preceding: Group | None
    following: Group | None

    @cached_property
    def digits(self) -> str:
        """All digits, joined."""
        return "".join(group.digits for group in self.groups)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many digits each group has."""
        return tuple(len(group.digits) for group in self.groups)

    @cached_property
    def gaps(self) -> list[str]:
        """What stands between the groups."""
        return [group.gap.replace(NOTHING, "") for group in self.groups[1:]]

    @cached_property
    def text(self) -> str:
        """The row as it is written."""
        return self.folded[self.groups[0].start : self.groups[-1].end]

    @property
    def spoken(self) -> int:
        """How many groups are said in words."""
        return sum(group.spoken for group in self.groups)

    def cuts(self, prefix: int) -> frozenset[int]:
        """Return where the digits behind a prefix are cut."""
        return frozenset(end - prefix for end in accumulate(self.sizes[:-1]) if end > prefix)

    def broken(self) -> bool:
        """Tell whether a sign between the groups starts something else: = or the plus of another number."""
        signs = any("=" in gap or ("+" in gap and gap != "+") for gap in self.gaps)
        return signs or any(group.plus and group.gap != "+" for group in self.groups[1:])

    def listed(self) -> bool:
        """Tell whether the groups are set apart as the items of a list are."""
        return any(_LIST.search(gap) for gap in self.gaps)

    def counted(self) -> bool:
        """Tell whether each group is more, or each less, than the one before: sizes, a count."""
        if len(self.groups) < 4:
            return False
        values = [int(group.digits) for group in self.groups]
        steps = [high - low for low, high in pairwise(values)]
        one_way = all(step > 0 for step in steps) or all(step < 0 for step in steps)
        near = len(values) > 5 or max(values) <= 10 * min(values)
        return (one_way and near) or steps[:5] in ([1] * 5, [-1] * 5)

    def continued(self) -> bool:
        """Tell whether a group of the same kind goes on after or before."""
        gap = self.gaps[-1]
        before, after = self.preceding, self.following
        if after and after.gap == gap and (gap.strip() or len(after.digits) == self.sizes[-1]):
            return True
        if before is None or before.spoken != self.groups[0].spoken or self.groups[0].gap != gap:
            return False
        return len(before.digits) == self.sizes[0]

    def thousands(self) -> bool:
        """Tell whether it reads as 7 900 000."""
        blanks = len(self.sizes) < 5 and all(gap in (" ", "") for gap in self.gaps)
        return blanks and self.sizes[:3] == (1, 3, 3) and self.groups[2].digits == "000"

    def rounded(self) -> bool:
        """Tell whether every group ends in a zero, as prices do."""
        return all(group.digits[-1] == "0" for group in self.groups)

    def timed(self) -> bool:
        """Tell whether there is a date, or a span of years or hours in it."""
        return bool(_DATE.search(self.text) or _HOURS.match(self.text))

    def internet(self) -> bool:
        """Tell whether it is an address of the internet."""
        return self.gaps == ["."] * 3 and all(int(group.digits) < 256 for group in self.groups)

    def decimal(self) -> bool:
        """Tell whether a long fraction follows a point."""
        return any(gap == "." and size > 3 for gap, size in zip(self.gaps, self.sizes[1:], strict=True))

    def tyre(self) -> bool:
        """Tell whether it is the size of a tyre: 225-45-17."""
        return bool(_TYRE.fullmatch(self.text))
