"""What leaves the outbox without having been sent, or before its days are over: always counted, by topic."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from daemon.outbox_file import AGAIN, REFUSED, SENT, WAITING
from daemon.rows import Keep

# What a row takes beyond its payload: topic, numbers, three index entries; measured on 100,000 readings.
ROW_BYTES = 300


@dataclass
class Gone:
    """rows, unsent: how many left, and how many of them had not been sent. bytes: of theirs."""

    rows: int = 0
    unsent: int = 0
    bytes: int = 0
    by_topic: Counter[str] = field(default_factory=Counter)

    def __add__(self, more: Gone) -> Gone:
        return Gone(
            self.rows + more.rows,
            self.unsent + more.unsent,
            self.bytes + more.bytes,
            self.by_topic + more.by_topic,
        )


def expired(db: sqlite3.Connection, now: float) -> Gone:
    """Deletes what nobody can use any more. now: UTC seconds."""
    return _delete(
        db,
        "expired",
        "state in (0,2) and keep=? and created+expiry_s<?",
        (int(Keep.WHILE_FRESH), now),
    )


def oldest_sent(db: sqlite3.Connection, most: int) -> Gone:
    """Deletes sent messages, those last that are asked for anew: nothing is lost by that, though they cannot
    be sent again."""
    chosen = "id in (select id from message where state=? order by id limit ?)"
    gone = _delete(db, "forgotten", chosen, (SENT, most))
    return gone if gone.rows else _delete(db, "forgotten", chosen, (AGAIN, most))


def oldest_unsent(db: sqlite3.Connection, most: int) -> Gone:
    """Deletes waiting and refused messages: readings, and only where there are none states and episodes."""
    for kinds in ((Keep.WHILE_ROOM, Keep.WHILE_FRESH), (Keep.LONG,)):
        marks = ",".join(str(int(kind)) for kind in kinds)
        known = "select id from message where state in (0,2)"
        chosen = f"{known} and keep in ({marks}) order by id limit ?"
        gone = _delete(db, "dropped", f"id in ({chosen})", (most,))
        if gone.rows:
            return gone
    return Gone()


def too_old(db: sqlite3.Connection, sent_before: float, fresh_before: float) -> Gone:
    """Deletes what was sent before, UTC seconds; what describes a moment only, sooner."""
    return _delete(
        db,
        "",
        "state=? and settled<iif(keep=?,?,?)",
        (SENT, int(Keep.WHILE_FRESH), fresh_before, sent_before),
    )


def count(db: sqlite3.Connection, what: str, by_topic: Counter[str]) -> None:
    """Adds to the tally, which outlives the process."""
    db.executemany(
        "insert into tally values(?,?,?) on conflict do update set number=number+excluded.number",
        [(topic, what, number) for topic, number in by_topic.items()],
    )


def _delete(db: sqlite3.Connection, what: str, where: str, values: tuple[object, ...]) -> Gone:
    gone = Gone()
    query = f"delete from message where {where} returning topic, state, length(payload)"  # nosec # B608: our own words
    for topic, state, size in db.execute(query, values).fetchall():
        gone.rows += 1
        gone.unsent += state in (WAITING, REFUSED)
        gone.bytes += size + ROW_BYTES
        gone.by_topic[topic] += 1
    if what:
        count(db, what, gone.by_topic)
    return gone
