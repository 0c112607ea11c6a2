"""Where in a run of digit groups telephone numbers begin and end, and what of the text belongs to them."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from training.cleaning import beside
from training.cleaning.digits import NOTHING, Run
from training.cleaning.numbering import SAID_APART, SHAPE, Number
from training.cleaning.rows import Row

_SHORT_CUTS: Final = frozenset((
    (3, 2, 2), (2, 2, 3), (2, 3, 2), (3, 4), (7,), (2, 2, 2), (3, 3), (6,), (1, 2, 2), (1, 4), (2, 3),
    (3, 2), (5,),
))  # fmt: skip
_EXTENSION: Final = re.compile(
    r"[\s,;(]*(?:доб[а-я]*|вн(?:утр[а-я]*)?|ext(?:ension)?)[\s.:№-]*\d{1,6}(?!\d)\)?|\s?#\d{2,5}(?!\d)"
)
_FEWEST, _LONGEST = 5, 15  # digits of a village's number, and of E.164
_CALLED, _LABELLED, _CODE = "called", "labelled", "code"
_REACH = 60  # characters before a number that may name it

Place = tuple[str, int, int]


def telephones(folded: str, run: Run) -> list[Place]:
    """Return the places of the telephone numbers in a run."""
    found: list[Place] = []
    first, named = 0, None
    while first < len(run):
        after = bool(found) and found[-1][2] >= run[first - 1].end  # the next of several numbers
        num_left = sum(len(group.digits) for group in run[first : first + _LONGEST])
        if num_left < _FEWEST or _inside(run, first, after):
            first += 1
            continue
        named = named if after and named == _CALLED else _name(folded, run[first].start)
        end = _end(folded, run, first, named=named)
        if end:
            found.append(("phone", *_span(folded, run[first:end])))
        first = end or first + 1
    return found


def _name(folded: str, start: int) -> str:
    """Return what the words before a number make of it."""
    before = folded[max(0, start - _REACH) : start].rstrip("+" + NOTHING)
    if beside.in_code(before):
        return _CODE
    stripped = before.rstrip(" \n.:,()!+/-")
    if not stripped or stripped[-1].isdecimal():
        return ""
    if beside.called(before):
        return _CALLED
    return _LABELLED if stripped[-1] == "№" or beside.labelled(before) else ""


def _end(folded: str, run: Run, first: int, *, named: str) -> int | None:
    """Return the index after the last group of the number that begins at `first`."""
    if named == _CODE:
        return None
    digits = ""
    for end in range(first + 1, len(run) + 1):
        digits += run[end - 1].digits
        if len(digits) > _LONGEST:
            break
        shaped = run[first].plus or SHAPE.fullmatch(digits)
        if not shaped or beside.goes_on_as_code(folded, run[end - 1].end):
            continue
        if Number(_row(folded, run, first, end), called=named == _CALLED, labelled=named == _LABELLED).fits():
            return end
    return _dictated(run, first) or (_short(folded, run, first) if named == _CALLED else None)


def _inside(run: Run, first: int, after: bool) -> bool:
    """Tell whether the group is glued to the one before, as a part of something longer: not «1.8916…»."""
    group = run[first]
    if first == 0 or group.gap not in (".", ",", ":", "-") or after or group.plus:
        return False
    return len(run[first - 1].digits) > 2 or not (group.digits in ("8", "7") or len(group.digits) == 11)


def _row(folded: str, run: Run, first: int, end: int) -> Row:
    return Row(
        folded, run[first:end], run[first - 1] if first else None, run[end] if end < len(run) else None
    )


def _dictated(run: Run, first: int) -> int | None:
    """Return the end of a mobile number in words that join in two ways: пятьсот пять is 505 and 5005."""
    if len(run[first].digits) != 1 or sum(group.spoken for group in run[first : first + 6]) < 3:
        return None
    head = "".join(group.digits for group in run[first : first + 3])
    sizes = accumulate(len(group.digits) for group in run[first : first + 13])
    ends = [end for end, size in enumerate(sizes, first + 1) if 8 <= size <= 13]
    if not ends or head[:2] not in ("89", "79"):
        return None
    apart = any(group.plus or SAID_APART.search(group.gap) for group in run[first + 1 : ends[-1]])
    return None if apart or Row("", run[first : ends[-1]], None, None).counted() else ends[-1]


def _short(folded: str, run: Run, first: int) -> int | None:
    """Return the end of a number of five to thirteen digits right after «тел.»."""
    end, sizes = None, []
    for last in range(first, len(run)):
        if last > first and run[last].gap.replace(NOTHING, "").strip(" .-()"):
            break
        sizes.append(len(run[last].digits))
        if sum(sizes) > 13:
            break
        if tuple(sizes) in _SHORT_CUTS or (end is None and sum(sizes) >= 8):
            end = last + 1
    if end is None or beside.goes_on_as_code(folded, run[end - 1].end):
        return None
    row = _row(folded, run, first, end)
    price = len(row.digits) != 7 or row.digits[-2:] == "00"
    if price and row.gaps != ["-", "-"] and beside.measured(folded, run[end - 1].end):
        return None
    newline = "\n" in folded[max(0, run[first].start - 2) : run[first].start]
    if len(row.digits) < 7 and (newline or len(set(row.gaps)) > 1):
        return None
    goes_on = row.following is not None and row.following.gap in (".", "-")
    return None if goes_on or row.decimal() or row.counted() or row.internet() or row.timed() else end


def _span(folded: str, groups: Run) -> tuple[int, int]:
    """Return the place of the number with its plus, bracket and extension."""
    start, end = groups[0].start, groups[-1].end
    if match := _EXTENSION.match(folded, end):
        end = match.end()
    while folded[end : end + 1] == NOTHING:  # of a keycap
        end += 1
    for lead in (r"\(\Z", r"(?:\+|плюс)\s*\Z", r"\(\Z"):
        inside = folded[start:end]
        if lead[1] == "(" and inside.count(")") <= inside.count("("):
            continue
        if match := re.search(lead, folded[max(0, start - 8) : start]):
            start -= len(match[0])
    return start, end
