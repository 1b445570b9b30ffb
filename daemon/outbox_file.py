"""The outbox's file: opened, or set aside where it is damaged, and begun anew with what can still be read."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

from daemon.errors import OutboxError

WAITING, SENT, REFUSED, AGAIN, UNREADABLE = 0, 1, 2, 3, 4
"""States of a message. AGAIN: sent once, and asked for anew. UNREADABLE: damaged; kept, and never sent."""

_TABLES = """
create table if not exists message(
    id integer primary key autoincrement, created real not null, topic text not null, payload blob not null,
    qos integer not null, retain integer not null, keep integer not null, expiry_s real, correlation blob,
    state integer not null default 0, settled real, reason integer, tries integer not null default 0,
    retry real not null default 0);
create index if not exists by_state on message(state, id);
create index if not exists by_topic on message(topic, id);
create table if not exists sequence(topic text primary key, last integer not null) without rowid;
create table if not exists start(session integer primary key autoincrement, at real not null);
create table if not exists tally(
    topic text not null, what text not null, number integer not null, primary key(topic, what)) without rowid;
"""
# What a file of the first version lacks.
_ADDED = {"tries": "integer not null default 0", "retry": "real not null default 0"}
# The write-ahead log grows to the largest transaction and would stay so.
_LOG_BYTES = 8 * 2**20
# What SQLite may keep of a file's pages, KiB. Its own 2,000 fill bit by bit, which looks like a leak; the
# system keeps the file in memory anyway.
CACHE_KIB = 512


def is_damage(why: sqlite3.Error) -> bool:
    """Whether the file itself is broken, as opposed to a disk that is full or cannot be written."""
    code = getattr(why, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_file(file: Path) -> tuple[sqlite3.Connection, str]:
    """The connection and, where the file was damaged, one line on what became of it; else an empty one.

    Raises sqlite3.Error where no file can be had at all.
    """
    try:
        return _open(file), ""
    except sqlite3.Error as why:
        if not is_damage(why):
            raise
        return begin_anew(file, str(why))


def begin_anew(file: Path, why: str) -> tuple[sqlite3.Connection, str]:
    """Sets a damaged file aside; takes over what can be read of it. Its connection has to be closed."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = file.with_name(f"{file.name}.damaged-{stamp}")
    for end in ("-wal", "-shm", ""):
        part = file.with_name(file.name + end)
        if part.exists():
            part.replace(aside.with_name(aside.name + end))
    db = _open(file)
    saved = _salvage(aside, db)
    return db, f"outbox was damaged ({why}): set aside as {aside.name}; {saved} waiting messages were saved"


def sync_log(file: Path) -> None:
    """Returns when no power cut can take away what was committed before. From any thread.

    Raises OutboxError.
    """
    try:
        # SQLite holds no lock on this file, so that opening it here loses none.
        log = os.open(file.with_name(file.name + "-wal"), os.O_RDWR)
        try:
            os.fdatasync(log)
        finally:
            os.close(log)
    except OSError as why:
        raise OutboxError(f"outbox: {why.strerror}: make room in the state directory") from None


def readable(text: bytes) -> str:
    """For `text_factory`: a flipped bit in one text must not keep back all rows that are read with it."""
    return text.decode(errors="replace")


def _open(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None, timeout=2.0)
    db.text_factory = readable
    try:
        db.execute("pragma journal_mode=wal")
        # A power cut may lose the last commits but never damages the file; an fsync for each
        # reading would wear a memory card out. Drafts and signatures ask for more.
        db.execute("pragma synchronous=normal")
        db.execute(f"pragma journal_size_limit={_LOG_BYTES}")
        db.execute(f"pragma cache_size=-{CACHE_KIB}")
        there = {row[1] for row in db.execute("pragma table_info(message)")}
        for column, kind in _ADDED.items():
            if there and column not in there:
                db.execute(f"alter table message add column {column} {kind}")
        db.executescript(_TABLES)
        # Walks the index over all messages: damage there is better met now than under way.
        db.execute("select count(*), max(id) from message indexed by by_state").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


def _salvage(aside: Path, db: sqlite3.Connection) -> int:
    """Copies numbers and unsent messages, as far as they can be read. Returns how many messages."""
    saved = 0
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(aside)) as old:
        for topic, last in old.execute("select topic, last from sequence"):
            db.execute("insert or replace into sequence values(?,?)", (topic, last))
        session = old.execute("select max(session) from start").fetchone()[0]
        if session:
            db.execute("insert into start values(?,?)", (session, time.time()))
    columns = "id,created,topic,payload,qos,retain,keep,expiry_s,correlation,state"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(aside)) as old:
        query = f"select {columns} from message not indexed where state in (0,2)"  # nosec # B608: our own words
        for row in old.execute(query):
            if not _is_whole(row[3]):
                continue
            db.execute(f"insert or ignore into message({columns}) values(?,?,?,?,?,?,?,?,?,?)", row)
            saved += 1
    return saved


def _is_whole(payload: object) -> bool:
    """SQLite keeps no check sums: what is no message any more must not go out as one."""
    try:
        json.loads(payload if isinstance(payload, bytes) else b"")
    except (ValueError, RecursionError):
        return False
    return True
