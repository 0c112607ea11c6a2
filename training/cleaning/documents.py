"""Which rows of digits are cards, passports, taxpayers' and insurance numbers, and accounts of persons.

A check digit alone lets one random number in ten through (Luhn, INN of an organisation), so each kind also
needs an issuer, a customary cut, or a word beside it. Issuers: ranges as the payment systems publish them.
"""

from __future__ import annotations

import re
from typing import Final

from training.cleaning import beside, checksums
from training.cleaning.digits import NOTHING, Run

Place = tuple[str, int, int]  # kind, start, end

_ISSUER: Final = re.compile(
    r"""4(?:\d{12}|\d{15}|\d{18}) | 220[0-4]\d{12,15}  # Visa, Mir
      | (?:5[1-5]\d\d | 222[1-9] | 22[3-9]\d | 2[3-6]\d\d | 27[01]\d | 2720)\d{12}  # Mastercard
      | (?:50[1-9]\d | 5[6-8]\d\d | 6[37]\d\d)\d{9,15} | 62\d{14,17}  # Maestro, UnionPay
      | 3[47]\d{13} | (?:30[0-5]\d | 3[68]\d\d)\d{10}  # American Express, Diners
      | (?:35[2-8]\d | 6011 | 65\d\d | 64[4-9]\d | 9112 | 8600 | 9860)\d{12}  # JCB, Discover; Uzcard""",
    re.VERBOSE,
)
_CARD_SIZES: Final = frozenset((
    (15,), (16,), (17,), (18,), (19,), (4, 4, 4, 4), (4, 6, 5), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (8, 8),
    (6, 10),    (8, 10), (4, 12), (6, 6, 4), (1,) * 16, (2,) * 8,
))  # fmt: skip
_CARD_WORD: Final = re.compile(
    r"(?:карт[аеуыо]|карточ|card|visa|виз[аеу]\b|mastercard|маэстро|maestro|\bмир\b|сбер|тинько|втб|альфа"
    r"|перевод|переведи|перечис|скиньте|кинуть|оплат)[^.!?\n]{0,30}\Z"
)
_SNILS_WORD: Final = re.compile(r"снилс|пенсионн|страхов|пфр|лицев|snils")
_INN_WORD: Final = re.compile(
    r"(?<![а-яa-z])(?:инн|inn|и\.н\.н)[а-я.]{0,2}"
    r"(?:[\W_]{0,4}(?:физ|юр|лица|лицо|ип|самозанят|продавц|организац|кпп|номер|n)[а-я]*){0,3}[\W_]{0,4}$"
)
# Accounts of persons: 40817, 40820 (current), 40802 (sole traders), 423 and 426 (deposits); digits 6-8 are
# the currency. Bank of Russia, regulation of 24.11.2022 № 809-П. Companies' accounts are no personal data.
_ACCOUNT: Final = re.compile(r"(?:40817|40820|40802|42[36]\d\d)(?:810|643|840|978|156|398|933)\d{12}")
_LONGEST = 20  # digits of an account
_TRIPLED: Final = re.compile(r"(\d)\1\1")  # the Fund gives out no number with a digit three times running
_SEPARATOR: Final = re.compile(r"[ ._/*-]{0,3}")
_NUMBER_WORD: Final = r"[\s,;:.-]{0,3}(?:(?:№|n|no|номер[а-я]*|ном|#)[\s:.№-]{0,3})?"
_SERIES: Final = r"\d\d[\s-]{0,2}\d\d"
_PASSPORT: Final = re.compile(
    rf"(?<![\d.,-])(?:(?P<fixed>{_SERIES}{_NUMBER_WORD}\d{{3}}[\s-]?\d{{3}})(?!\d|[-.,/]\d)"
    rf"|(?P<turned>\d{{6}}[\s,;:]{{1,3}}сери[яи][\s:№-]{{0,3}}{_SERIES})(?!\d)"
    r"|(?P<foreign>\d\d[\s-]{0,2}(?:№|n|номер)?\s?\d{7})(?!\d))"
)
_PASSPORT_BEFORE: Final = re.compile(
    r"(?:паспорт|passport|(?<![а-я])пасп\.|удостоверени[а-я]* личности)(?!а? (?:изделия|техник|трансп|т/?с))"
    r"[^\d]{0,60}$"
)
_SERIES_BEFORE: Final = re.compile(r"(?<![а-я])(?:сери[яи]|сер\.)[\s:№-]{0,3}$")
_PASSPORT_AFTER: Final = re.compile(
    r"[\s,.;:]{0,4}(?:паспорт\s)?(?:выдан|кем выдан|код подр|дата выдачи|уфмс|гу мвд|мвд|овд|отделом)"
)


def documents(folded: str, run: Run) -> tuple[list[Place], list[Run]]:
    """Return the cards, INN, SNILS and accounts in a run, and the runs that are left of it."""
    found: list[Place] = []
    left: list[Run] = [[]]
    first = 0
    while first < len(run):
        kind, end = _longest(folded, run, first)
        if kind:
            found.append((kind, run[first].start, run[end - 1].end))
            left.append([])
            first = end
        else:
            left[-1].append(run[first])
            first += 1
    return found, [rest for rest in left if rest]


def passports(folded: str, start: int, end: int) -> list[Place]:
    """Return the passports in a zone: ten digits with «паспорт», «серия» or «выдан» beside."""
    found = []
    for match in _PASSPORT.finditer(folded, start, end):
        before = folded[max(0, match.start() - 90) : match.start()]
        if beside.in_code(before):
            continue
        named = bool(_PASSPORT_BEFORE.search(before))
        issued = bool(_PASSPORT_AFTER.match(folded, match.end()))
        series = bool(_SERIES_BEFORE.search(before)) and not match[0].replace(" ", "").isdigit()
        if named or (match["fixed"] and (issued or series)) or match["turned"]:
            found.append(("passport", match.start(), match.end()))
    return found


def _longest(folded: str, run: Run, first: int) -> tuple[str, int]:
    """Return the kind and the end of the number that begins at a group; "" where there is none."""
    start, digits = run[first].start, ""
    if run[first].gap in (".", ","):
        return "", first
    for end in range(first + 1, len(run) + 1):
        gap = run[end - 1].gap
        if end > first + 1 and gap not in (" ", "-") and not _SEPARATOR.fullmatch(gap.replace(NOTHING, "")):
            break
        digits += run[end - 1].digits
        if len(digits) > _LONGEST:
            break
        if (kind := _valid(digits)) and not beside.goes_on_as_code(folded, run[end - 1].end):
            before = folded[max(0, start - 60) : start].replace(NOTHING, "")
            if not beside.in_code(before) and _FITS[kind](run[first:end], digits, before):
                return kind, end
    return "", first


def _valid(digits: str) -> str:
    """Return what the digits by themselves may be."""
    num = len(digits)
    if num < 10:
        return ""
    if num in (10, 12):
        return "inn" if checksums.inn(digits) else ""
    if num == 11:
        return "snils" if checksums.snils(digits) else ""
    if num == 20:
        return "account" if _ACCOUNT.fullmatch(digits) else ""
    return "card" if _ISSUER.fullmatch(digits) and checksums.luhn(digits) else ""


def _is_inn(groups: Run, digits: str, before: str) -> bool:
    """Tell whether it is named a taxpayer's number; a person's twelve digits may stand alone."""
    alone = len(digits) == 12 and len(groups) == 1 and not before.endswith("+")
    return bool(_INN_WORD.search(before)) or (alone and not beside.labelled(before))


def _is_snils(groups: Run, digits: str, before: str) -> bool:
    """Tell whether it is cut as an insurance number is, or named one, or stands alone."""
    if _SNILS_WORD.search(before):
        return True
    gaps = {group.gap.replace(NOTHING, "") for group in groups[1:]}
    if len(groups) > 1:
        return _sizes(groups) in ((3, 3, 3, 2), (3, 3, 5)) and gaps <= {" ", "-", " - "}
    return digits[0] not in "78" and not _TRIPLED.search(digits[:9]) and not beside.labelled(before)


def _is_card(groups: Run, digits: str, before: str) -> bool:
    """Tell whether the digits are cut as a card's are, or named one."""
    if beside.labelled(before):
        return False
    if _CARD_WORD.search(before):
        return True
    gaps = {group.gap.replace(NOTHING, "") for group in groups[1:]}
    if len(digits) in (13, 14) or (len(digits) == 19 and digits[0] == "4") or len(gaps) > 1:
        return False  # bar codes and powers of two
    rounded = len(groups) > 2 and all(group.digits[-1] == "0" for group in groups)  # prices
    return _sizes(groups) in _CARD_SIZES and not rounded


def _is_account(groups: Run, digits: str, before: str) -> bool:
    """Tell that the digits themselves have said enough."""
    return True


def _sizes(groups: Run) -> tuple[int, ...]:
    return tuple(len(group.digits) for group in groups)


_FITS: Final = {"inn": _is_inn, "snils": _is_snils, "card": _is_card, "account": _is_account}
