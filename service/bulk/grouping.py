"""The consumer of product models: listings of one seller and category with the same model are one group."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import orjson

_CACHE_KIB: Final = 64 * 1024  # of memory, however many listings; the rest is in a file that nobody sees


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One listing of a group, with the places of its texts that named the model."""

    item_id: int | str | None
    title: str
    confidence: float
    evidence: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Listings of one model; `model` and `brand` as most of them write it."""

    seller_id: int | str | None
    category: str | None
    model_key: str
    model: str
    brand: str | None
    members: list[Member]

    def document(self) -> dict[str, Any]:
        """Return the group as JSON has it."""
        items = [{"item_id": m.item_id, "title": m.title, "confidence": m.confidence} for m in self.members]
        return {
            "seller_id": self.seller_id,
            "category": self.category,
            "model_key": self.model_key,
            "model": self.model,
            "brand": self.brand,
            "items": items,
        }


class Grouping:
    """Takes rows of bulk's output and hands out groups; listings lie in a temporary file, not in memory.

    A listing without a seller is in no group, unless `any_seller` sets the sellers aside. An item_id that
    comes again is the same listing. `apart` counts what is in no group, by reason.
    """

    def __init__(self, *, any_seller: bool = False, min_confidence: float = 0.0) -> None:
        self.num_listings = 0
        self.apart: Counter[str] = Counter()
        self._any_seller = any_seller
        self._min_confidence = min_confidence
        self._db = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE listings (key TEXT, item TEXT, listing BLOB, UNIQUE (key, item))")
        self._db.execute("BEGIN")

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row with its `result`."""
        self.num_listings += 1
        result = row["result"]
        if reason := self._apart(row, result):
            self.apart[reason] += 1
            return
        item = row.get("item_id")
        seller = None if self._any_seller else str(row["seller_id"])
        key = orjson.dumps([seller, row.get("category"), result["model_key"]]).decode()
        done = self._db.execute(
            "INSERT OR IGNORE INTO listings VALUES (?, ?, ?)",
            (key, None if item is None else str(item), orjson.dumps(row)),
        )
        if not done.rowcount:
            self.apart["the same item_id again"] += 1

    def groups(self, *, min_size: int = 2) -> Iterator[Group]:
        """Yield the groups, the largest first, then as they came; counts those that are too small."""
        sizes = "SELECT key, count(*) AS size FROM listings GROUP BY key"
        (small,) = self._db.execute(
            f"SELECT coalesce(sum(size), 0) FROM ({sizes}) WHERE size < ?",  # noqa: S608
            (min_size,),
        ).fetchone()
        self.apart[f"fewer than {min_size} of that model"] = small
        for (key,) in self._db.execute(
            "SELECT key FROM listings GROUP BY key HAVING count(*) >= ? ORDER BY count(*) DESC, min(rowid)",
            (min_size,),
        ):
            found = self._db.execute("SELECT listing FROM listings WHERE key = ? ORDER BY rowid", (key,))
            yield self._group(orjson.loads(listing) for (listing,) in found)

    def close(self) -> None:
        """Remove the temporary file."""
        self._db.close()

    def __enter__(self) -> Grouping:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _apart(self, row: Mapping[str, Any], result: Mapping[str, Any]) -> str | None:
        if result.get("model_key") is None:
            return f"no model: {result.get('reason') or 'no key'}"
        if result["confidence"] < self._min_confidence:
            return f"confidence below {self._min_confidence:g}"
        if not self._any_seller and row.get("seller_id") in (None, ""):
            return "no seller_id"
        return None

    def _group(self, rows: Iterable[dict[str, Any]]) -> Group:
        listings = list(rows)
        first = listings[0]
        results = [row["result"] for row in listings]
        return Group(
            seller_id=None if self._any_seller else first["seller_id"],
            category=first.get("category"),
            model_key=results[0]["model_key"],
            model=_usual(result["model"] for result in results) or "",
            brand=_usual(result["brand"] for result in results),
            members=[
                Member(
                    item_id=row.get("item_id"),
                    title=row.get("title") or "",
                    confidence=result["confidence"],
                    evidence=result["evidence"],
                )
                for row, result in zip(listings, results, strict=True)
            ],
        )


def _usual(values: Iterable[str | None]) -> str | None:
    """Return the most frequent value, the first of equals."""
    counts = Counter(value for value in values if value)
    return counts.most_common(1)[0][0] if counts else None


def told(group: Group, *, max_members: int) -> Iterator[str]:
    """Yield a group's lines for a person; in the titles the words that named the model stand in brackets."""
    name = f"{group.brand} {group.model}" if group.brand and group.brand not in group.model else group.model
    where = [] if group.seller_id is None else [f"seller {group.seller_id}"]
    where += [group.category] if group.category else []
    yield _plain(f"{len(group.members)} × {name}  ({', '.join([*where, f'key {group.model_key}'])})")
    ids = [_plain("-" if m.item_id is None else str(m.item_id)) for m in group.members[:max_members]]
    width = max(map(len, ids))
    for item_id, member in zip(ids, group.members, strict=False):
        yield f"  {item_id:>{width}}  {member.confidence:4.2f}  {_plain(_marked(member))}"
    if (more := len(group.members) - max_members) > 0:
        yield f"  {'…':>{width}}  and {more:,} more"


def _marked(member: Member) -> str:
    title, elsewhere = member.title, []
    for place in sorted(member.evidence, key=lambda one: -int(one["start"])):
        start, end = place["start"], place["end"]
        if place["field"] != "title":
            elsewhere.append(f"{place.get('param') or place['field']}: {place['text']}")
        elif title[start:end] == place["text"]:
            title = f"{title[:start]}[{title[start:end]}]{title[end:]}"
    return f"{title}  ({'; '.join(elsewhere[::-1])})" if elsewhere else title


def _plain(text: str) -> str:
    """Return a text that leaves the terminal as it is: no line breaks, control or direction characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
