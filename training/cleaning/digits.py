"""Where a text has rows of digits, however written: the ground on which personal numbers are looked for.

A text is folded character by character (same length, so places stay true): lower case, ё as е, every digit
of Unicode as 0-9, every dash as -, every blank as a space, what draws nothing as one sign. A run is a row of
groups of digits with no ordinary word in between; numerals in words and look-alike letters count as digits.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from training.cleaning.numerals import FILLERS, NUMERAL, REPEATED, VALUES, joined

NOTHING: Final = "\u200b"
_PLAIN: Final = "\x00-\x7fа-я«»№“”„•…₽°×"
_ODD: Final = re.compile(f"[^{_PLAIN}]")
# Digits, or a numeral after a blank or a mark: one set of first characters keeps the search fast on prose
# (43 million characters a second).
_MARK: Final = re.compile(rf"[0-9 \n.,:;()/_*-](?:(?<=[0-9])[0-9]*|(?<![0-9]){NUMERAL.pattern})")
_CHUNK: Final = re.compile(r"[^\W_]+")
_PIECE: Final = re.compile(r"[0-9]+|[^\W\d_]+")
# Letters that pass for digits, in a chunk that has a digit; O and З also alone: «926 ООО 12 34».
_TWINS: Final = str.maketrans("оoзбчliіsвb", "00364111588")
_TWIN: Final = re.compile(r"(?=.*[0-9])[0-9оoзбчliіsвb]+|[оoз]|[оoзбч]{2,4}|[liі]{2,3}")
_GLUED_BEFORE: Final = re.compile(r"[оoзбчliіsвb]{1,6}$")
_GLUED_AFTER: Final = re.compile(r"[оoзбчliіsвb]{0,6}(?:[ -](?:[liі]{2}|[бчоoз]{2})(?![а-яa-z])){0,2}")
_SAID_BEFORE: Final = re.compile(rf"(?<![а-я]){NUMERAL.pattern}[ ,-]{{1,2}}$")
_GAP: Final = re.compile(r'[^₽$€%№°×"\n«»]{0,8}\n?[^₽$€%№°×"\n«»]{0,8}')
_PLUS: Final = re.compile(r"(?:\+|плюс)[\s(\[]*$")
_REACH = 16  # characters between two groups of one run: « (код 926) » is nine
_FEWEST = 5  # digits of the shortest telephone
_WORD_WEIGHT = 2  # a numeral in words says two digits at most places


@dataclass(frozen=True, slots=True)
class Group:
    """Digits that stand together; `gap` is what stands between them and the group before."""

    start: int
    end: int
    digits: str
    gap: str = ""
    spoken: bool = False
    plus: bool = False


Run = list[Group]


@cache
def _table() -> dict[int, str]:
    """Return what each odd character is folded into; the astral planes have digits in two blocks only."""
    table = {}
    for code in (*range(0x80, 0x10000), *range(0x1D7CE, 0x1D800), *range(0x1FBF0, 0x1FBFA), 0xE0020):
        char = chr(code)
        category = unicodedata.category(char)
        digit = unicodedata.digit(char, None)
        if digit is not None:
            table[code] = str(digit)
        elif category == "Pd" or char in "−‒⁃":
            table[code] = "-"
        elif category in ("Zs", "Zl", "Zp"):
            table[code] = " "
        elif category in ("Cf", "Mn", "Me") or char == "\u3164":
            table[code] = NOTHING
    table.update(
        {
            ord(wide): narrow
            for wide, narrow in zip("．，：；（）［］＠＋／＿＊＂", '.,:;()[]@+/_*"', strict=True)
        }
    )
    table.update({code: sys.intern(chr(code - 0xFEE0).lower()) for code in range(0xFF21, 0xFF5B)})
    table[0x2044] = "/"
    return table


def fold(text: str) -> str:
    """Return the text of the same length with every spelling of a digit, dash, blank and letter made one."""
    lower = text.replace("İ", "i").lower().replace("ё", "е").replace("—", "-").replace("–", "-")
    if "\xa0" in lower:
        lower = lower.replace("\xa0", " ")
    return lower.translate(_table()) if _ODD.search(lower) else lower


def zones(folded: str) -> Iterator[tuple[int, int]]:
    """Yield the stretches that are thick with digits and numerals."""
    start = end = weight = 0
    for first, last, size in _marks(folded):
        if first - end > _REACH and weight:
            if weight >= _FEWEST:
                yield start, end
            weight = 0
        if not weight:
            start = first
        end, weight = last, weight + size
    if weight >= _FEWEST:
        yield start, end


def _marks(folded: str) -> Iterator[tuple[int, int, int]]:
    """Yield the place of each row of digits and each numeral, and how many digits it counts for."""
    if word := NUMERAL.match(folded):
        yield 0, word.end(), _WORD_WEIGHT
    for match in _MARK.finditer(folded):
        first, last = match.span()
        if folded[first] in "0123456789":
            yield first, last, last - first
        else:
            yield first + 1, last, _WORD_WEIGHT


def runs(folded: str, start: int, end: int) -> Iterator[Run]:
    """Yield the runs of a zone: read plainly and, where letters stand among its digits, with them."""
    if said := _SAID_BEFORE.search(folded, max(0, start - 16), start):  # «📞восемь девятьсот …»
        start = said.start()
    yield from _cut(folded, start, end, twins=False)
    before = _GLUED_BEFORE.search(folded, max(0, start - 6), start)
    start = before.start() if before else start
    after = _GLUED_AFTER.match(folded, end)
    end = after.end() if after else end
    if _has_twins(folded, start, end):
        yield from _cut(folded, start, end, twins=True)


def _has_twins(folded: str, start: int, end: int) -> bool:
    """Tell whether a look-alike stands among the digits as a digit would."""
    chunks = _CHUNK.finditer(folded, start, end)
    return any(not chunk[0].isdecimal() and _TWIN.fullmatch(chunk[0]) for chunk in chunks)


def _cut(folded: str, start: int, end: int, *, twins: bool) -> Iterator[Run]:
    """Yield the runs of a zone."""
    run: Run = []
    for chunk in _CHUNK.finditer(folded, start, end):
        if run and not _GAP.fullmatch(folded, run[-1].end, chunk.start()):
            if _enough(run):
                yield run
            run = []
        if twins and _TWIN.fullmatch(chunk[0]):
            _append(folded, run, chunk.start(), chunk.end(), chunk[0].translate(_TWINS), spoken=False)
            continue
        for piece in _PIECE.finditer(folded, chunk.start(), chunk.end()):
            word = piece[0]
            if word[0] in "0123456789":
                _append(folded, run, piece.start(), piece.end(), word, spoken=False)
            elif word in VALUES:
                _append(folded, run, piece.start(), piece.end(), str(VALUES[word]), spoken=True)
            elif word in REPEATED and run and run[-1].digits in ("2", "3", "4"):
                times = run.pop()
                digits = str(REPEATED[word]) * int(times.digits)
                run.append(Group(times.start, piece.end(), digits, times.gap, spoken=True, plus=times.plus))
            elif word not in FILLERS:
                if _enough(run):
                    yield run
                run = []
    if _enough(run):
        yield run


def _append(folded: str, run: Run, start: int, end: int, digits: str, *, spoken: bool) -> None:
    """Add a group, or join it to the spoken number before it."""
    last = run[-1] if run else None
    plain_gap = last is not None and not folded[last.end : start].strip(" -" + NOTHING)
    if last and last.spoken and plain_gap and (whole := joined(last.digits, digits)):
        run[-1] = Group(last.start, end, whole, last.gap, spoken=True, plus=last.plus)
        return
    gap = folded[last.end : start] if last else ""
    plus = bool(_PLUS.search(folded, max(0, start - 8), start))
    run.append(Group(start, end, digits, gap, spoken, plus))


def _enough(run: Run) -> bool:
    return sum(len(group.digits) for group in run) >= _FEWEST
