"""The numbering plan: whether a row of digits is a telephone number, by its digits and where they are cut.

7 or 8 and ten digits, a mobile number's ten digits, `+` and a country's code, a city's seven digits. What
stands before makes the judgement milder («тел.») or stricter («артикул»). Plan: order of the Ministry of
Communications of 25.04.2017 № 205 (ABC and DEF codes); ITU-T E.164 (`+`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from training.cleaning import beside
from training.cleaning.rows import Row

# Ends of groups, counted from the first of the ten digits: 916-123-45-67 is cut at 3, 6 and 8.
_MOBILE_CUTS: Final = frozenset(map(frozenset, (
    (), (3,), (3, 6), (3, 6, 8), (3, 5, 7), (3, 5, 8), (3, 7), (3, 6, 9), (3, 8), (3, 5), (3, 6, 7),
    (3, 4, 6, 8), (2, 4, 6, 8),
)))  # fmt: skip
_CITY_CUTS: Final = frozenset(map(frozenset, (
    (3, 6, 8), (4, 6, 8), (5, 6, 8), (5, 7, 9), (3, 6), (4, 7), (5, 8), (5, 7), (3, 5, 7), (3,), (4,), (5,),
    (3, 7), (4, 6),
)))  # fmt: skip
_AREA: Final = re.compile(
    r"3(?:0[12]|36|4[1-79]|5[1-3]|65|8[1-8]|9[0145])|4(?:0[1-3]|1[1-6]|2[1-7]|7[1-5]|8[1-7]|9[1-9])"
    r"|8(?:1[1-8]|20|21|3[1-6]|4[1-8]|5[1-57]|6[1-35-79]|7[1-9]|0[0-9])|7(?:0\d|1\d|2\d|4[07]|6[0-4]|7\d)"
)
_NEIGHBOURS: Final = {  # country code -> number of all digits
    "375": 12, "380": 12, "998": 12, "996": 12, "992": 12, "994": 12, "995": 12, "993": 11, "374": 11,
    "373": 11, "371": 11, "370": 11, "90": 12, "86": 13,
}  # fmt: skip
_COUNTRY: Final = re.compile(  # the other codes that ITU-T has assigned
    r"1|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[124]|9[1-58]|21[12368]|2[2-6]\d|29\d|3[578]\d|42\d|5[09]\d"
    r"|6[789]\d|8[05]\d|9[679]\d"
)
_WITHOUT_PLUS: Final = re.compile(r"(?:810)?(?:375(?:17|2\d|33|44)\d{7}|380(?:39|50|6[3678]|73|9\d|44)\d{7})")
# As they are dialled at home: 8 029 … in Belarus, 067 … in Ukraine.
_AT_HOME: Final = re.compile(r"80(?:17|25|29|33|44)\d{7}|0(?:39|50|6[3678]|73|9[1-9])\d{7}")
# What can be a number at all: the first digits and how many there are.
SHAPE: Final = re.compile(
    r"[78][3-9]\d{9}|[3489]\d{9}|0[3-9]\d{8}|80\d{9}|[78]89\d{9}|3[78]\d{10}|8103[78]\d{10}|\d{7}"
)
SAID_APART: Final = re.compile(r"[^\w\s,()-]")  # between words: the end of one number, as a rule


@dataclass(frozen=True)
class Number:
    """A row that may be one telephone number, and what the words before it make of it."""

    row: Row
    called: bool
    labelled: bool

    def fits(self) -> bool:
        """Tell whether the digits are a telephone number and are written like one."""
        row, digits = self.row, self.row.digits
        if row.broken():
            return False
        if row.groups[0].plus:
            return self._international()
        if _AT_HOME.fullmatch(digits):
            return not self.labelled and row.cuts(len(digits) - 10) == {3, 6, 8} and not row.listed()
        if len(digits) == 11 and digits[0] in "78":
            return self._spoken(prefixed=True) if row.spoken else self._prefixed(digits[1:])
        if len(digits) == 10:
            return self._spoken(prefixed=False) if row.spoken else self._bare(digits)
        if len(digits) == 12 and digits[:3] in ("789", "889"):
            return row.cuts(2) in _MOBILE_CUTS
        if len(digits) in (12, 15) and _WITHOUT_PLUS.fullmatch(digits):
            return not self.labelled and len(row.groups) in (1, 4, 5) and not row.listed()
        return len(digits) == 7 and self._city()

    def _international(self) -> bool:
        row, digits, num = self.row, self.row.digits, len(self.row.digits)
        if digits[0] in "78":
            if num == 11 and digits[0] == "7":
                return digits[1] != "0" or self.called
            return (num == 11 and digits[1] in "9348") or (num == 12 and digits[:3] == "789")
        for code, length in _NEIGHBOURS.items():
            if digits.startswith(code):
                return num == length
        goes_on = row.following is not None and row.following.gap in (" ", "-", "") and num < 12
        if (
            goes_on
            or any(gap.strip(" -()") for gap in row.gaps)
            or row.folded[row.groups[0].start - 1] != "+"
        ):
            return False
        return 10 <= num <= 13 and (len(row.groups) > 2 or self.called) and bool(_COUNTRY.match(digits))

    def _spoken(self, *, prefixed: bool) -> bool:
        """Judge ten or eleven digits of which some are words."""
        ten = self.row.digits[-10:]
        apart = any(SAID_APART.search(gap) for gap in self.row.gaps)
        if (apart and self.row.spoken < len(self.row.groups)) or self.row.counted():
            return False
        return (ten[0] == "9" and (prefixed or self.row.spoken > 1)) or (prefixed and bool(_AREA.match(ten)))

    def _prefixed(self, ten: str) -> bool:
        """Judge ten digits behind 7 or 8."""
        row, mobile = self.row, ten[0] == "9"
        if not mobile and not _AREA.match(ten):
            return False
        if len(row.groups) == 1:
            return not self.labelled
        if row.cuts(1) in (_MOBILE_CUTS if mobile else _CITY_CUTS):
            return (self.called or not row.thousands()) and (len(row.groups) > 4 or not row.listed())
        if not mobile or (len(row.groups) < 6 and beside.measured(row.folded, row.groups[-1].end)):
            return False
        return self.called or self._odd()

    def _odd(self) -> bool:
        """Tell whether a number cut anywhere is still one: even separators, no list, date or address."""
        row = self.row
        kinds = {gap.strip() or " " for gap in row.gaps} - {"(", ")"}
        if len(kinds) > 2 or (self.labelled and len(row.groups) < 4) or row.listed():
            return False
        return not (row.counted() or row.timed() or row.continued() or row.thousands() or row.internet())

    def _bare(self, ten: str) -> bool:
        """Judge ten digits by themselves: a mobile number, or one with the code of a city."""
        row, mobile = self.row, ten[0] == "9"
        unit = beside.measured(row.folded, row.groups[-1].end)
        if not mobile and not _AREA.match(ten):
            return False
        if len(row.groups) == 1:
            return not (unit or self.labelled or len(set(ten)) == 1) and (self.called or mobile)
        canonical = row.cuts(0) in (_MOBILE_CUTS if mobile else _CITY_CUTS)
        bracketed = "(" in row.folded[max(0, row.groups[0].start - 1) : row.groups[-1].end]
        if canonical and (bracketed or (self.called and not row.continued())):
            return len(row.groups) > 4 or not row.listed()
        if unit or self.labelled or row.listed() or row.continued():
            return False
        if mobile:
            single = len(row.groups) == 10 and len(set(row.gaps)) == 1 and not row.counted()
            return (canonical and not row.rounded()) or single
        return canonical and len(row.groups) == 4 and row.gaps[1:] == ["-", "-"]

    def _city(self) -> bool:
        """Judge seven digits: 123-45-67 with hyphens, and no tyre."""
        row = self.row
        if (
            row.spoken
            or row.sizes != (3, 2, 2)
            or self.labelled
            or (row.digits[0] in "01" and not self.called)
        ):
            return False
        after = row.following.gap.strip() if row.following else ""
        before = row.groups[0].gap.strip() if row.preceding else ""
        glued = {before, after} & {"-", ".", "/"}
        return row.gaps == ["-", "-"] and not glued and (self.called or not row.tyre())
