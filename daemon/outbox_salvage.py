"""A damaged outbox: what can still be read of it is saved into a new one, and it is set aside.

A kill at any moment loses nothing: the damaged file stays where it is until all that can be saved lies on the
disk under another name, which the next start finds.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from daemon.outbox_file import (
    AGAIN,
    CACHE_KIB,
    REFUSED,
    SENT,
    TABLES,
    UNREADABLE,
    WAITING,
    is_damage,
    open_whole,
    readable,
)
from daemon.rows import Row
from daemon.stored_rows import COLUMNS, read

# Numbers of messages in a row that may be unreadable before the rest is given up: one page of the tree's
# upper level holds some 10,000.
_GAP = 20_000
# What a damaged file may cause besides damage that SQLite knows as such.
_LOST = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
}


class _Numbered(msgspec.Struct):
    seq: int


def open_file(file: Path, why: str = "found at an earlier start") -> tuple[sqlite3.Connection, str]:
    """The connection and, where the file was damaged, one line on what became of it; else an empty one.

    why: of damage that is known. Raises sqlite3.Error or OSError where no file can be had at all.
    """
    _beside(file, "saving").unlink(missing_ok=True)  # cut short: the damaged file is still in its place
    if not _beside(file, "saved").exists():
        try:
            return open_whole(file), ""
        except sqlite3.Error as damage:
            if not is_damage(damage):
                raise
            why = str(damage)
        save(file, why)
    aside = _set_aside(file)
    line = f"outbox was damaged ({why}): set aside as {aside}"
    try:
        db = open_whole(file)
    except sqlite3.Error as failure:
        raise sqlite3.OperationalError(f"{line}; {failure}") from None
    (saved,) = db.execute("select count(*) from message").fetchone()
    return db, f"{line}; {saved} waiting messages were saved"


def save(file: Path, why: str) -> None:
    """Copies what can be read of a damaged file, whole or not at all, for `open_file` to begin with.

    why: what is damaged. Raises sqlite3.OperationalError where the disk does not take it.
    """
    part = _beside(file, "saving")
    try:
        part.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as new:
            # Whatever is not finished is thrown away, so that it needs no journal.
            new.execute("pragma journal_mode=off")
            new.execute("pragma synchronous=full")
            new.execute(f"pragma cache_size=-{CACHE_KIB}")
            new.executescript("begin;" + TABLES)
            with _reading(file, new) as old:
                _copy(old, new)
            new.execute("commit")
        part.replace(_beside(file, "saved"))
        _sync(file.parent)
    except (sqlite3.Error, OSError) as failure:
        part.unlink(missing_ok=True)
        line = f"damaged ({why}), and left as it is, as what waits in it cannot be saved ({failure})"
        raise sqlite3.OperationalError(line) from None


def _set_aside(file: Path) -> str:
    """Puts what was saved in the place of the damaged file. May be cut short and called again. Returns its
    new name."""
    saved = _beside(file, "saved")
    # Of the same moment when called again, so that its parts stay together.
    stamp = datetime.fromtimestamp(saved.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = _beside(file, f"damaged-{stamp}")
    while file.exists() and aside.exists():
        aside = aside.with_name(aside.name + "x")
    for end in ("-wal", "-shm", ""):
        part = file.with_name(file.name + end)
        if part.exists():
            part.replace(aside.with_name(aside.name + end))
    # Nothing of the old one lies here any more that SQLite would take for a part of this.
    saved.replace(file)
    _sync(file.parent)
    return aside.name


@contextlib.contextmanager
def _reading(file: Path, new: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A damaged file, read as if its schema were that of `new`. It stays as it is."""
    query = "select type,name,tbl_name,rootpage,sql from sqlite_master where name in (?,?,?)"
    tables = new.execute(query, ("message", "sequence", "start")).fetchall()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=2.0)) as old:
        old.text_factory = readable
        old.execute("pragma writable_schema=on")
        with _as_far_as_possible():
            old.execute("select 1 from sqlite_master")  # the first one fails where the schema is damaged
        with _as_far_as_possible():
            old.execute("begin immediate")  # for the schema, which is rolled back
            roots = dict(old.execute("select name, rootpage from sqlite_master"))
            old.execute("delete from sqlite_master")
            for kind, name, table, root, sql in tables:
                values = (kind, name, table, roots.get(name, root), sql)
                old.execute("insert into sqlite_master values(?,?,?,?,?)", values)
            old.execute("pragma writable_schema=reset")
        try:
            yield old
        finally:
            if old.in_transaction:
                old.execute("rollback")


def _copy(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Unsent messages, the last numbers of topics, and of starts."""
    known: dict[str, int] = {}
    with _as_far_as_possible():
        query = "select topic, last from sequence where typeof(topic)='text' and typeof(last)='integer'"
        known.update(iter(old.execute(query)))
    numbers: dict[str, int] = {}
    insert = f"insert or ignore into message({COLUMNS}) values(?,?,?,?,?,?,?,?,?,?,?)"  # nosec # B608: our own words
    for found in _messages(old):
        topic, state = found[2], found[-1]
        unsent = state not in (SENT, AGAIN, UNREADABLE)
        if not unsent and topic in known:
            continue  # most of them
        try:
            row = read(found)
        except ValueError:
            continue
        numbers[topic] = max(numbers.get(topic, 0), _number(row))
        if unsent and _is_whole(row.payload):
            new.execute(insert, (*found[:-1], REFUSED if state == REFUSED else WAITING))
    new.executemany("insert into sequence values(?,?)", (numbers | known).items())
    with _as_far_as_possible():
        (session,) = old.execute("select max(session) from start").fetchone()
        if session:
            new.execute("insert into start values(?,?)", (session, time.time()))


def _messages(old: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """All that can be read, on both sides of what cannot."""
    query = f"select {COLUMNS} from message not indexed where id"  # nosec # B608: our own words
    at, failed = 1, 0
    while failed < _GAP:
        try:
            for found in old.execute(f"{query}>=? order by id", (at,)):
                yield found
                if found[0] >= at:
                    at, failed = found[0] + 1, 0
            return
        except sqlite3.Error as why:
            if not _is_unreadable(why):
                raise
        with _as_far_as_possible():
            # A cursor reads one ahead: before what it cannot read there may be one that it can.
            yield from old.execute(f"{query}=?", (at,))
        at += 1
        failed += 1


@contextlib.contextmanager
def _as_far_as_possible() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        return  # SQLite's complaint, which quotes a damaged name
    except sqlite3.Error as why:
        if not _is_unreadable(why):
            raise


def _is_unreadable(why: sqlite3.Error) -> bool:
    """Whether the damaged file is to blame, as opposed to a disk that is full."""
    code = getattr(why, "sqlite_errorcode", None)
    return is_damage(why) or code in _LOST


def _number(row: Row) -> int:
    try:
        return msgspec.json.decode(row.payload, type=_Numbered).seq
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0


def _is_whole(payload: bytes) -> bool:
    """SQLite keeps no check sums: what is no message any more must not go out as one."""
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return True


def _beside(file: Path, what: str) -> Path:
    return file.with_name(f"{file.name}.{what}")


def _sync(folder: Path) -> None:
    """New names outlive a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
