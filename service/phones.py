"""Find telephone numbers however they are written: digits, words, look-alike letters, any separators.

A run is a row of digit groups with no ordinary word in between. Groups are joined and compared with the
numbering plan: 7 or 8 and ten digits, ten digits alone, `+` and ten or more, a city number beside a word such
as «тел.». Lists of sizes, prices and article numbers differ in where the groups are cut, and in their order.
A bare ten-digit number that begins with 3, 4 or 8 («8450006670») is a part number unless it is cut
like a telephone's. A short number counts beside «тел.» or «звоните» only, and not where it says an amount,
opening hours, years, or the number of a thing («каталожный номер», «Т59558»).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate, groupby, pairwise

from service.numerals import compose, value_of

_CHUNK = re.compile(r"[^\W_]+")
_PIECE = re.compile(r"\d+|[^\W\d_]+")
# Letters that pass for digits, inside a chunk that has a digit, and alone between digits.
_TWINS = str.maketrans("оoзбчliіsвb", "00364111588")
_TWIN_CHUNK = re.compile(r"(?=.*\d)[\dоoзбчliіsвb]+|[оoз]{1,4}")
_FILLERS = frozenset({"код", "тире", "дефис", "пробел", "скобка", "плюс", "точка"})
_GAP = re.compile(r"[^₽$€%№°×\"\n]{0,8}")
_PLUS = re.compile(r"\+[\s(]*$|плюс[\s(]*$")
_CUTS_9 = tuple(map(frozenset, ((3,), (3, 6), (3, 6, 8), (3, 5, 7), (3, 5, 8), (3, 7), (3, 6, 9), (3, 8),
                                (1, 2, 3, 6, 8), (1, 2, 3, 4, 5, 6, 7, 8, 9))))  # fmt: skip
_CUTS_CITY = tuple(map(frozenset, ((3, 6, 8), (4, 6, 8), (5, 6, 8), (3, 6), (4, 7), (5, 8), (3, 5, 7))))
_FOREIGN = re.compile(r"375(?:17|2[0-9]|33|44)\d{7}|380\d{9}|99[2-68]\d{9}|37[34]\d{8}")
_BESIDE = re.compile(
    r"(?:(?<!\w)(?:тел|телеф[а-я]*|телефон[а-я]*|моб|мобил[а-я]*|сотов[а-я]*|номер[а-я]*|ном|т|tel|phone|ph|звон[а-я]*"
    r"|позвон[а-я]*|набер[а-я]*|набир[а-я]*|смс|sms)\.?)[\s.:,№()!-]*"
    r"(?:по|на|номеру?|мне|дом|раб|тел|для\s(?:связи|справок|заказ[а-я]*|звонк[а-я]*|записи))?[\s.:№()-]*$"
)
_CALL_AFTER = re.compile(r"[\s.,()-]*(?:звон|позвон|тел)")
_AMOUNT_AFTER = re.compile(
    r"[\s.]*(?:₽|руб|р\b|тыс|тр\b|км|шт|%|мм|см|кг|\$|€|мач|mah|вт\b|гб\b|gb\b|гц\b|год|лет\b)"
)
_AMOUNT = re.compile(r"\d{1,3}(?:[ .]\d{3})+|\d{5,7}")
_PRICED = re.compile(r"(?<!\w)(?:цен[аеуы]|стоимост[ьи]|пробег[а-я]*)\W{0,3}$")
_OFFERED = re.compile(r"(?<!\w)(?:за|отдам|продам|прошу|от|до)\W{0,2}$")  # then only a round sum is one
# «9:00-21:00», «2015-2017»
_TIMES = re.compile(
    r"(?:[01]?\d|2[0-4])[:.-][03]0\s?-\s?(?:[01]?\d|2[0-4])[:.-][03]0|(?:19|20)\d\d\s?[-/,]\s?(?:19|20)\d\d"
)
_CADASTRAL = re.compile(r"\d\d:\d\d:\d{6,7}:\d{1,5}")
_SIZE_BEFORE = re.compile(r"(?<!\w)(?:размер[а-я]*|габарит[а-я]*|разм|дхшхв|шхгхв|шхвхг|вхшхг)\W{0,3}$")
_SIZE_AFTER = re.compile(r"\s*(?:мм|см)(?!\w)")
# «Т59558», «Т-170.01»: five digits joined to the letter are a make, where nothing near speaks of calling;
# six or seven, or another cut, may be a city's telephone.
_CODE_HEAD = re.compile(r"(?<!\w)т-?$")
_MAKE = re.compile(r"\d{5}|\d{3}\.\d\d")
_CONTACTING = re.compile(r"(?<!\w)(?:звон|позвон|перезвон|тел(?!\w)|телефон|связ|обращ|справк|вопрос|моб)")
_THINGS_NUMBER = re.compile(
    r"(?<!\w)(?:(?:каталожн|оригинальн|заводск|серийн|кадастров|инвентарн|порядков|складск|партийн|заказн|модельн"
    r"|регистрационн)[а-я]*|(?:патент|сертификат|лиценз|договор|лот)[а-я]{0,3}|(?:кат|ориг|сер|инв|парт|рег|гос))"
    r"[\s.-]{0,2}(?:номер[а-я]*|ном)\W{0,3}$"
)
_LABELLED = re.compile(
    r"(?:артик[а-я]*|арт|код[а-я]*|imei|isbn|vin|oem|s/?n|инн|огрн|штрих[а-я-]*|каталожн[а-я]*|серийн[а-я]*|gtin|ean)"
    r"\W{0,3}(?:товара|номер[а-я]*)?\W{0,3}$"
)
_BRACKETED = re.compile(r"\(\d{3,5}\)")  # (495) 1234567
_MIN_DIGITS = 5
_DIGIT = re.compile(r"\d")
_DIGIT_WORD = re.compile(
    r"\b(?:нол|один|одна|дв[ае]|три|четыр|пят|шест|сем[ьи]|восем|девят|сорок|сто\b|плюс)"
)


@dataclass(slots=True)
class _Run:
    """A row of groups; `gaps[i]` stands before group i."""

    start: int
    end: int = 0
    groups: list[str] = field(default_factory=list)
    plus: list[bool] = field(default_factory=list)
    spoken: int = 0


def has_phone(text: str) -> bool:
    """Tell whether a folded lower-case text holds a telephone number."""
    if len(_DIGIT.findall(text)) + 2 * len(_DIGIT_WORD.findall(text)) < _MIN_DIGITS:
        return False
    return any(_is_phone(text, run) for run in _runs(text))


def _runs(text: str) -> list[_Run]:
    """Cut the text into rows of digit groups; numeral words become the digits they say."""
    runs: list[_Run] = []
    items: list[tuple[int, int, str]] = []  # start, end, digits or a numeral word
    last = 0
    for chunk in _CHUNK.finditer(text):
        if items and not _GAP.fullmatch(text, last, chunk.start()):
            _close(text, items, runs)
        last = chunk.end()
        if _TWIN_CHUNK.fullmatch(chunk[0]):
            items.append((chunk.start(), chunk.end(), chunk[0].translate(_TWINS)))
            continue
        for piece in _PIECE.finditer(text, chunk.start(), chunk.end()):
            if piece[0].isdigit() or value_of(piece[0]) is not None:
                items.append((piece.start(), piece.end(), piece[0]))
            elif piece[0] not in _FILLERS:
                _close(text, items, runs)
    _close(text, items, runs)
    return runs


def _close(text: str, items: list[tuple[int, int, str]], runs: list[_Run]) -> None:
    """Turn the collected items into a run, and begin anew."""
    if not items:
        return
    run = _Run(start=items[0][0], end=items[-1][1])
    for digits, group in groupby(items, key=lambda item: item[2].isdigit()):
        row = list(group)
        if digits:
            said = [(start, value) for start, _, value in row]
        else:
            values = [value for _, _, word in row if (value := value_of(word)) is not None]
            said = [(row[first][0], str(int(value))) for first, _, value in compose(values)]
            run.spoken += len(said)
        for start, group_digits in said:
            run.groups.append(group_digits)
            run.plus.append(bool(_PLUS.search(text, max(0, start - 8), start)))
    items.clear()
    if sum(map(len, run.groups)) >= _MIN_DIGITS or run.spoken:
        runs.append(run)


def _is_phone(text: str, run: _Run) -> bool:
    """Tell whether any neighbouring groups of the run make a telephone number."""
    digits = "".join(run.groups)
    if run.spoken and _dictated(run):
        return True
    before = text[max(0, run.start - 40) : run.start]
    mobile = re.fullmatch(r"[78]?9\d{9}", digits)
    labelled = _LABELLED.search(_CODE_HEAD.sub("", before))
    if len(run.groups) == 1 and not mobile and not any(run.plus) and labelled:
        return False
    if _CADASTRAL.fullmatch(text, run.start, run.end):
        return False
    if 5 <= len(digits) <= 13 and _is_called(text, run, before=before):
        return True
    if len(digits) == 10 and _BRACKETED.match(text, max(0, run.start - 1)):
        return True
    if [len(group) for group in run.groups] == [3, 2, 2] and re.search(r"\d{3}-\d\d-\d\d$", text[: run.end]):
        return not (_SIZE_BEFORE.search(before) or _SIZE_AFTER.match(text, run.end))
    for first in range(len(run.groups)):
        length = 0
        for end in range(first, len(run.groups)):
            length += len(run.groups[end])
            if length > 13:
                break
            if length >= 10 and _fits(run.groups[first : end + 1], plus=run.plus[first], spoken=run.spoken):
                return True
    return False


def _is_called(text: str, run: _Run, *, before: str) -> bool:
    """Tell whether a word beside a short run says that it is a telephone, and nothing says otherwise."""
    if _AMOUNT_AFTER.match(text, run.end) or _TIMES.fullmatch(text, run.start, run.end):
        return False
    if _BESIDE.search(before):
        if head := _CODE_HEAD.search(before):
            make = _MAKE.fullmatch(text, run.start, run.end)
            around = before[: head.start()] + text[run.end : run.end + 40]
            return not make or bool(_CONTACTING.search(around))
        return not _THINGS_NUMBER.search(before)
    if not _CALL_AFTER.match(text, run.end):
        return False
    if not _AMOUNT.fullmatch(text, run.start, run.end):
        return True
    round_sum = run.groups[-1].endswith("00") and _OFFERED.search(before)
    return not (round_sum or _PRICED.search(before))


def _dictated(run: _Run) -> bool:
    """Tell whether words dictate the beginning of a number: «плюс семь …», «восемь девятьсот …»."""
    if any(run.plus[:-1]):  # the last one adds: «два плюс один»
        return True
    numbers = list(map(int, run.groups))
    if all(0 < high - low <= 2 for low, high in pairwise(numbers)):
        return False  # counting: «один, два, три», «восемь, девять, десять лет»
    prefixed = len(run.groups) > 2 and run.groups[0] in {"8", "7"} and run.groups[1][0] == "9"
    return prefixed or (len(run.groups) >= 6 and all(len(group) == 1 for group in run.groups[:6]))


def _fits(groups: list[str], *, plus: bool, spoken: int) -> bool:
    """Tell whether the groups, joined, are a telephone number and are cut like one."""
    digits = "".join(groups)
    if plus:
        return digits[0] != "0"
    numbers = [int(group) for group in groups]
    if len(numbers) > 3 and all(low < high for low, high in pairwise(numbers)):
        return False  # sizes: 92 98 104 110
    offset = len(digits) - 10
    cuts = frozenset(place - offset for place in accumulate(map(len, groups[:-1]))) - set(range(-9, 1))
    if len(digits) == 11 and digits[0] in "78":
        if digits[1] == "9" or (digits[1] in "348" and len(groups) == 1):
            return True
        return digits[1] in "3478" and any(cuts <= row for row in _CUTS_9 + _CUTS_CITY)
    if len(digits) == 10 and digits[0] == "9":
        return spoken > 1 or not cuts or cuts in _CUTS_9
    if len(digits) == 10 and digits[0] in "348":
        return cuts in _CUTS_CITY[:3] and len(groups) > 3
    return bool(_FOREIGN.fullmatch(digits))
