"""What the models answered before, kept on disk: the same question gets the same answer, and at once."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_OURS: Final = (
    0x414E5331  # "ANS1" in SQLite's field for whose file it is; another layout takes another number
)
_KEYS_PER_QUERY: Final = 500  # SQLite binds 999 at least
_COMPRESS_FROM: Final = 1024  # bytes; below, zlib gains nothing worth its time
_PLAIN, _PACKED = b"\0", b"\1"  # a value's first byte
_PRUNE_EVERY, _PRUNE_ROWS = 500, 1000  # rows put between prunings, rows removed at most in one
_MAX_IN_MEMORY: Final = 50_000  # rows, without a file
_MAX_LATE: Final = 10_000  # rows that wait while another process holds the file
_RETRY_S: Final = 1.0
_OPEN_WAIT_S: Final = 30.0  # for another process that writes, before anybody is served
_WAIT_S: Final = 0.25  # the same later, while the event loop stands still


class AnswersError(Exception):
    """The store cannot be used; one line that says which file and why."""


class Answers:
    """A store of bytes by key: one SQLite file shared by processes of one machine; memory without a path.

    Every `put` is on its way to the disk when it returns: a killed process loses nothing, a machine without
    power the last seconds. The oldest rows go beyond `max_rows` or `max_age_days`, a few with every few
    hundred that come. A file that cannot be used, now or later, is told once in the log and the store goes
    on in memory; with `strict` it is an AnswersError instead. Thread-safe.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        max_rows: int = 5_000_000,
        max_age_days: float = 90.0,
        strict: bool = False,
    ) -> None:
        self._path = path
        self._max_rows = max_rows
        self._max_age_s = 86_400 * max_age_days
        self._strict = strict
        self._lock = threading.Lock()
        self._late: dict[bytes, bytes] = {}
        self._retry_at = 0.0
        self._unpruned = 0
        self._db: sqlite3.Connection | None = None
        try:
            self._db = _connect(path, wait_s=_OPEN_WAIT_S if strict else _WAIT_S)
        except (sqlite3.Error, OSError) as error:
            self._fall_back(error)
        if self._path is None:
            self._max_rows = min(max_rows, _MAX_IN_MEMORY)

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what is known of the keys."""
        wanted = {_digest(key): key for key in keys}
        with self._lock:
            found = {key: value for key in wanted if (value := self._late.get(key)) is not None}
            rest = [key for key in wanted if key not in found]
            try:
                for begin in range(0, len(rest), _KEYS_PER_QUERY):
                    found |= self._select(rest[begin : begin + _KEYS_PER_QUERY])
                return {wanted[key]: _unpack(value) for key, value in found.items()}
            except (sqlite3.Error, zlib.error) as error:
                if not _busy(error):
                    self._fall_back(error)
                return {}

    def put(self, rows: Mapping[str, bytes]) -> None:
        """Keep the rows; an existing key keeps its first value, so that answers stay stable."""
        packed = {_digest(key): _pack(value) for key, value in rows.items()}
        with self._lock:
            if self._db is None or not packed:
                return
            self._late = {**packed, **self._late}
            if time.monotonic() >= self._retry_at:
                self._write()

    def close(self) -> None:
        """Write everything and release the file; from now on nothing is found and nothing kept."""
        with self._lock:
            if self._db is None:
                return
            if self._late:
                self._write()
            self._db.close()
            self._db = None

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _select(self, keys: list[bytes]) -> dict[bytes, bytes]:
        if self._db is None:
            return {}
        places = ",".join("?" * len(keys))
        return dict(
            self._db.execute(f"SELECT key, value FROM answers WHERE key IN ({places})", keys)  # noqa: S608
        )

    def _write(self) -> None:
        """Write the rows that wait. Behind another process they wait on, not to hold this one up."""
        assert self._db is not None
        now = time.time()
        rows = [(key, value, now) for key, value in self._late.items()]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(
                    "INSERT OR IGNORE INTO answers (key, value, kept) VALUES (?, ?, ?)", rows
                )
                self._unpruned += len(rows)
                if self._unpruned >= min(_PRUNE_EVERY, self._max_rows):
                    self._prune(now)
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            if not _busy(error) or self._strict:
                self._fall_back(error)
                return
            self._retry_at = time.monotonic() + _RETRY_S
            self._late = dict(list(self._late.items())[:_MAX_LATE])
        else:
            self._late = {}

    def _prune(self, now: float) -> None:
        """Remove the oldest: row ids only grow, so the first are the oldest, and counting them is free."""
        assert self._db is not None
        self._unpruned = 0
        self._db.execute(
            "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers ORDER BY rowid LIMIT ?)"
            " AND (kept < ? OR rowid <= (SELECT max(rowid) FROM answers) - ?)",
            (_PRUNE_ROWS, now - self._max_age_s, self._max_rows),
        )

    def _fall_back(self, error: Exception) -> None:
        """Go on in memory, and say so once; a strict store raises."""
        if self._db is not None:
            self._db.close()
            self._db = None
        reason = str(error)
        if self._strict:
            raise AnswersError(
                f"{self._path}: cannot hold the answers: {reason}; mend it, move it away, or set LLM_ANSWERS"
            ) from None
        log.warning("answers are kept in memory only", path=str(self._path), reason=reason)
        self._path = None
        self._max_rows = min(self._max_rows, _MAX_IN_MEMORY)
        self._late = {}
        self._db = _connect(None, wait_s=_WAIT_S)


def _connect(path: Path | None, *, wait_s: float) -> sqlite3.Connection:
    """Open the file and make the table if there is none."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # what is in it was made of users' texts
    db = sqlite3.connect(
        path or ":memory:", timeout=_OPEN_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(db)
        db.execute(f"PRAGMA busy_timeout = {1000 * wait_s:.0f}")
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    # The tables first: another process makes table and mark in one step, perhaps between our two looks.
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    if tables and mark != _OURS:
        raise sqlite3.DatabaseError("it is a database of something else")
    until = time.monotonic() + _OPEN_WAIT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # Several processes at their first start: SQLite does not wait here, whatever the timeout.
            if not _busy(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "CREATE TABLE IF NOT EXISTS answers"
        " (key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, kept REAL NOT NULL)"
    )
    db.execute(f"PRAGMA application_id = {_OURS}")
    db.execute("COMMIT")


def _busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _digest(key: str) -> bytes:
    """Return 16 bytes: an index of millions of keys is a quarter of that over hexadecimal hashes."""
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def _pack(value: bytes) -> bytes:
    return _PLAIN + value if len(value) < _COMPRESS_FROM else _PACKED + zlib.compress(value, 1)


def _unpack(value: bytes) -> bytes:
    return value[1:] if value[:1] == _PLAIN else zlib.decompress(value[1:])
