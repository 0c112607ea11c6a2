"""The check digits that tell a card, a taxpayer's number and an insurance number from any other number.

Luhn: ISO/IEC 7812-1, annex B. INN: order of the Federal Tax Service of 29.06.2012 № ММВ-7-6/435@ tells the
structure; the weights are those that the Service's own forms check by. SNILS: the Pension Fund's data
formats, section 8; numbers up to 001-001-998 have no check number.
"""

from __future__ import annotations

from typing import Final

_INN_10: Final = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_11: Final = (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12: Final = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_LAST_UNCHECKED_SNILS: Final = 1_001_998


def luhn(digits: str) -> bool:
    """Tell whether the last digit is Luhn's check digit of the others."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def inn(digits: str) -> bool:
    """Tell whether 10 digits (an organisation) or 12 (a person) are a valid taxpayer's number."""
    if digits[:2] == "00":
        return False
    if len(digits) == 10:
        return _weighted(digits, _INN_10) == int(digits[9])
    if len(digits) == 12:
        return _weighted(digits, _INN_11) == int(digits[10]) and _weighted(digits, _INN_12) == int(digits[11])
    return False


def snils(digits: str) -> bool:
    """Tell whether 11 digits are a valid insurance number; those too old to be checked are not."""
    if len(digits) != 11 or int(digits[:9]) <= _LAST_UNCHECKED_SNILS:
        return False
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(digits[:9]))
    return total % 101 % 100 == int(digits[9:])


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False)) % 11 % 10
