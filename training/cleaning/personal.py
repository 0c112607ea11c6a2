"""Personal data in training texts, found with its place, so that a model cannot learn whose number it is.

What is looked for, and in which order where two claim one place: e-mail addresses, contacts in messengers,
passports, cards, INN, SNILS, accounts of persons, telephones.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from training.cleaning.contacts import handles, mails
from training.cleaning.digits import fold, runs, zones
from training.cleaning.documents import documents, passports
from training.cleaning.telephones import telephones

if TYPE_CHECKING:
    from datatrove.pipeline.writers.disk_base import DiskWriter

Kind = Literal["email", "messenger", "passport", "card", "inn", "snils", "account", "phone"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PLACEHOLDERS: Final[dict[Kind, str]] = {
    "email": "[почта]",
    "messenger": "[контакт]",
    "passport": "[паспорт]",
    "card": "[карта]",
    "inn": "[ИНН]",
    "snils": "[СНИЛС]",
    "account": "[счёт]",
    "phone": "[телефон]",
}
REASON: Final = "personal_data"


@dataclass(frozen=True, slots=True)
class Found:
    """One number or address of a person: `text[start:end]`."""

    kind: Kind
    start: int
    end: int


def find(text: str) -> list[Found]:
    """Return the personal data of a text in order, without overlaps."""
    folded = fold(text)
    kept: list[Found] = []
    for found in sorted(_candidates(folded), key=_precedence):
        at = bisect(kept, found.start, key=lambda one: one.start)
        if (at == 0 or kept[at - 1].end <= found.start) and (at == len(kept) or found.end <= kept[at].start):
            kept.insert(at, found)
    return kept


def replace(text: str) -> tuple[str, Counter[Kind]]:
    """Return the text with a placeholder for each piece of personal data, and their number by kind."""
    found = find(text)
    if not found:
        return text, Counter()
    parts, last = [], 0
    for one in found:
        parts += [text[last : one.start], PLACEHOLDERS[one.kind]]
        last = one.end
    return "".join([*parts, text[last:]]), Counter(one.kind for one in found)


class PersonalData(BaseFilter):
    """Replace personal data by placeholders, or drop the documents that have any.

    Counts by kind go to the statistics (`personal_phone` …) and, for documents that had any, to the metadata.
    """

    name = "Personal data"

    def __init__(
        self, mode: Literal["replace", "drop"] = "replace", *, exclusion_writer: DiskWriter | None = None
    ) -> None:
        super().__init__(exclusion_writer)
        self.mode = mode

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Count what the document has, then clean it or let it go."""
        text, counts = replace(doc.text)
        if not counts:
            return True
        doc.metadata[REASON] = dict(sorted(counts.items()))
        for kind, count in counts.items():
            self.stat_update(f"personal_{kind}", value=count)
        if self.mode == "drop":
            return False, REASON
        doc.text = text
        return True


def _precedence(one: Found) -> tuple[int, int, int]:
    """Order by kind, then the longer first."""
    return KINDS.index(one.kind), one.start - one.end, one.start


def _candidates(folded: str) -> Iterator[Found]:
    """Yield everything that looks like personal data; places may overlap."""
    places = mails(folded) + handles(folded)
    for zone in zones(folded):
        places += passports(folded, *zone)
        for run in runs(folded, *zone):
            found, left = documents(folded, run)
            places += found
            for rest in left:
                places += telephones(folded, rest)
    for kind, start, end in places:
        yield Found(cast(Kind, kind), start, end)
