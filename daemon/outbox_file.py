"""The outbox's file: its tables, opened and checked."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from daemon.errors import OutboxError

WAITING, SENT, REFUSED, AGAIN, UNREADABLE = 0, 1, 2, 3, 4
"""States of a message. AGAIN: sent once, and asked for anew. UNREADABLE: damaged; kept, and never sent."""

TABLES = """
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
# The event loop waits so long for somebody who looks into the file with another program, seconds: then
# messages are kept in memory until they are done.
_BUSY_S = 0.2
# The write-ahead log grows to the largest transaction and would stay so.
_LOG_BYTES = 8 * 2**20
# What SQLite may keep of a file's pages, KiB. Its own 2,000 fill bit by bit, which looks like a leak; the
# system keeps the file in memory anyway.
CACHE_KIB = 512


# Of a message: more than a daemon writes in a thousand years.
MOST_ID = 2**53
# Each finds numbers that somebody goes on counting from, and that are none, or too small for what is there.
_WRONG = (
    "select 1 from sequence where typeof(topic)<>'text' or typeof(last)<>'integer'",
    "select 1 from tally where typeof(number)<>'integer'",
    "select 1 from (select max(id) as last from message) where last is not null and not exists (select 1"
    " from sqlite_sequence where name='message' and typeof(seq)='integer' and seq>=last and seq<(1<<53))",
)


class Damaged(sqlite3.DatabaseError):
    """What SQLite itself does not notice."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(why: sqlite3.Error) -> bool:
    """Whether the file itself is broken, as opposed to a disk that is full or cannot be written."""
    code = getattr(why, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


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


def open_whole(file: Path) -> sqlite3.Connection:
    """Makes the file where there is none. Raises sqlite3.Error; `is_damage` tells damage from others."""
    _into_memory(file)
    db = sqlite3.connect(file, isolation_level=None, timeout=_BUSY_S)
    db.text_factory = readable
    try:
        db.execute("pragma journal_mode=wal")
        # A power cut may lose the last commits but never damages the file; an fsync for each
        # reading would wear a memory card out. Drafts and signatures ask for more.
        db.execute("pragma synchronous=normal")
        db.execute(f"pragma journal_size_limit={_LOG_BYTES}")
        db.execute(f"pragma cache_size=-{CACHE_KIB}")
        there = _columns(db, "message")
        for column, kind in _ADDED.items():
            if there and column not in there:
                db.execute(f"alter table message add column {column} {kind}")
        db.executescript(TABLES)
        _check(db)
    except sqlite3.Error:
        db.close()
        raise
    except UnicodeDecodeError:  # SQLite's complaint, which quotes a damaged name
        db.close()
        raise Damaged("a name in its schema is no text") from None
    return db


def _check(db: sqlite3.Connection) -> None:
    """Damage is better met now than under way. Raises Damaged."""
    (found,) = db.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        raise Damaged(found.splitlines()[-1])
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(TABLES)
        for (name,) in fresh.execute("select name from sqlite_master where type='table'").fetchall():
            if not _columns(fresh, name) <= _columns(db, name):
                raise Damaged(f"a column of {name} has another name")
    # What is queued is looked for in the index, which quick_check does not compare with its table.
    each = ",".join(f"sum(state={state})" for state in (WAITING, SENT, REFUSED, AGAIN, UNREADABLE))
    counted = f"select {each}, sum((state+1)*(id%1000003)), count(*) from message"  # nosec # B608: numbers
    table = db.execute(f"{counted} not indexed").fetchone()
    if table != db.execute(f"{counted} indexed by by_state").fetchone():
        raise Damaged("the index of messages is not that of its table")
    if table[-1] and sum(table[:5]) != table[-1]:
        raise Damaged("a message is in no state")
    for wrong in _WRONG:
        if db.execute(wrong).fetchone():
            raise Damaged("its numbers are no numbers")


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[0] for row in db.execute("select name from pragma_table_info(?)", (table,))}


def _into_memory(file: Path) -> None:
    # From one end to the other. The check jumps about: it took 11 s for 512 MiB, and 1 s after these 2 s.
    if file.exists():
        with file.open("rb", buffering=0) as raw:
            while raw.read(2**20):
                pass
