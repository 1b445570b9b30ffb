"""The outbox: a SQLite file through which everything passes on its way to the broker.

A row is done only when the broker has confirmed it. A crash, a broker that is away and a cut cable
therefore cost nothing but time.
"""

from __future__ import annotations

import asyncio
import enum
import fcntl
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.errors import OutboxError
from daemon.transaction import transaction

log = structlog.get_logger("outbox")


class Keep(enum.IntEnum):
    """How long a message that waits is worth keeping."""

    ALWAYS = 0
    """Never dropped: episodes, states, and later drafts and signatures."""
    WHILE_ROOM = 1
    """Dropped, the oldest first, only where the outbox is full: readings."""
    WHILE_FRESH = 2
    """Worth nothing after its expiry: health, quality, answers to commands."""


@dataclass(frozen=True, slots=True)
class Row:
    """A message that waits. created: UTC seconds. expiry_s: how long it describes the present, or None."""

    id: int
    created: float
    topic: str
    payload: bytes
    qos: int
    retain: bool
    keep: Keep
    expiry_s: float | None
    correlation: bytes | None


_SWEEP_S = 1.0
_WAITING, _SENT, _REFUSED = 0, 1, 2

_TABLES = """
create table if not exists message(
    id integer primary key autoincrement, created real not null, topic text not null, payload blob not null,
    qos integer not null, retain integer not null, keep integer not null, expiry_s real, correlation blob,
    state integer not null default 0, settled real, reason integer);
create index if not exists by_state on message(state, id);
create table if not exists sequence(topic text primary key, last integer not null) without rowid;
create table if not exists start(session integer primary key autoincrement, at real not null);
"""


class Outbox:
    """One file, one process, one thread. A context manager: leaving it closes the file."""

    def __init__(self, directory: Path, *, max_waiting: int = 100_000) -> None:
        """Raises OutboxError where the directory cannot be used or another daemon uses it."""
        self.max_waiting = max_waiting
        self.dropped = 0
        self.expired = 0
        self._swept = 0.0
        self.changed = asyncio.Event()
        """Set whenever something was put; whoever waits for it clears it."""
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (directory / "outbox.lock").open("w")
        except OSError as why:
            raise OutboxError(f"state directory {directory}: {why.strerror}: set [state] directory") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise OutboxError(
                f"state directory {directory} is in use by another eeg-copilot: stop it, or set another "
                "[state] directory"
            ) from None
        file = directory / "outbox.sqlite"
        try:
            self._db = sqlite3.connect(file, isolation_level=None)
            self._db.execute("pragma journal_mode=wal")
            # A power cut may lose the last commits but never damages the file; an fsync for each
            # reading would wear a memory card out.
            self._db.execute("pragma synchronous=normal")
            self._db.executescript(_TABLES)
            self._last: dict[str, int] = dict(self._db.execute("select topic, last from sequence"))
            self._waiting = self._count(_WAITING)
            self.session = int(
                self._db.execute("insert into start(at) values(?)", (time.time(),)).lastrowid or 0
            )
        except sqlite3.Error as why:
            self._lock.close()
            raise OutboxError(f"outbox {file}: {why}: move the file away to begin a new one") from None

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()
        self._lock.close()

    def next_seq(self, topic: str) -> int:
        """Takes the next number of `topic`, for a message that is sent past the outbox."""
        with transaction(self._db, "outbox"):
            return self._number(topic)

    def peek_seq(self, topic: str) -> int:
        """The number that the next message of `topic` will have."""
        return self._last.get(topic, 0) + 1

    def put(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        keep: Keep = Keep.ALWAYS,
        expiry_s: float | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Stores a message. Its payload must carry `peek_seq(topic)`. Raises OutboxError (disk full)."""
        with transaction(self._db, "outbox"):
            self._number(topic)
            if self._waiting >= self.max_waiting:
                self._make_room()
            self._db.execute(
                "insert into message(created,topic,payload,qos,retain,keep,expiry_s,correlation)"
                " values(?,?,?,?,?,?,?,?)",
                (time.time(), topic, payload, qos, int(retain), int(keep), expiry_s, correlation),
            )
            self._waiting += 1
        self.changed.set()

    def waiting(self, after: int, most: int) -> list[Row]:
        """Up to `most` messages with an id above `after`, oldest first."""
        with transaction(self._db, "outbox"):
            self._sweep()
            rows = self._db.execute(
                "select id,created,topic,payload,qos,retain,keep,expiry_s,correlation from message"
                " where state=0 and id>? order by id limit ?",
                (after, most),
            ).fetchall()
        return [Row(i, at, t, p, q, bool(r), Keep(k), e, c) for i, at, t, p, q, r, k, e, c in rows]

    def settle(self, row_id: int, reason: int) -> None:
        """The broker's verdict: below 128 is done; above, refused: kept apart, and in nobody's way."""
        state = _SENT if reason < 128 else _REFUSED
        with transaction(self._db, "outbox"):
            self._waiting -= self._db.execute(
                "update message set state=?, settled=?, reason=? where id=? and state=0",
                (state, time.time(), reason, row_id),
            ).rowcount

    def purge(self, keep_days: float) -> int:
        """Deletes messages sent more than `keep_days` ago; returns how many."""
        with transaction(self._db, "outbox"):
            before = time.time() - keep_days * 86400
            return self._db.execute(
                "delete from message where state=? and settled<?", (_SENT, before)
            ).rowcount

    def counts(self) -> dict[str, int]:
        """waiting, refused: rows now; dropped, expired: since the start."""
        return {
            "waiting": self._waiting,
            "refused": self._count(_REFUSED),
            "dropped": self.dropped,
            "expired": self.expired,
        }

    def _number(self, topic: str) -> int:
        last = self._last.get(topic, 0) + 1
        self._db.execute("insert or replace into sequence(topic,last) values(?,?)", (topic, last))
        self._last[topic] = last
        return last

    def _sweep(self) -> None:
        """Deletes what nobody can use any more; not at each call, as it looks at all that waits."""
        now = time.time()
        if abs(now - self._swept) < _SWEEP_S:
            return
        self._swept = now
        gone = self._db.execute(
            "delete from message where state=0 and keep=? and created+expiry_s<?",
            (int(Keep.WHILE_FRESH), now),
        ).rowcount
        self.expired += gone
        self._waiting -= gone

    def _make_room(self) -> None:
        # Some at a time, so that a full outbox does not pay for a search at every message.
        some = max(1, self.max_waiting // 100)
        gone = self._db.execute(
            "delete from message where id in"
            " (select id from message where state=0 and keep<>0 order by id limit ?)",
            (some,),
        ).rowcount
        self.dropped += gone
        self._waiting -= gone
        if gone:
            log.warning("outbox full: dropped the oldest readings", dropped=gone, in_all=self.dropped)

    def _count(self, state: int) -> int:
        return int(self._db.execute("select count(*) from message where state=?", (state,)).fetchone()[0])
