"""The outbox's tables. Each call is one transaction: where it raises sqlite3.Error, nothing has changed."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon import outbox_room as room
from daemon import stored_rows
from daemon.outbox_file import AGAIN, REFUSED, SENT, UNREADABLE, WAITING, is_damage
from daemon.outbox_salvage import open_file, save
from daemon.reasons import NOT_AUTHORISED, failed
from daemon.rows import Row

# A broker that refuses a message is asked again after a minute, then ever less often, seconds.
_RETRY_S = (60.0, 3600.0)
# What describes a moment only is of use for an hour at most, when somebody looks for what went wrong.
_FRESH_KEPT_S = 3600.0

Verdict = tuple[int, float]
"""The broker's reason code, and when it came, UTC seconds."""


class Store:
    """unsent, bytes: messages that wait or were refused; size of all rows. damage: what became of a damaged
    file, or of messages in it, one line, else empty."""

    def __init__(self, file: Path, max_waiting: int, max_bytes: int) -> None:
        self._file = file
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._use(*open_file(file))

    def begin_anew(self, why: str) -> None:
        """For a file that turns out to be damaged. Raises OSError too; may be called again then."""
        if not self._closed:
            save(self._file, why)
            self.close()
        self._use(*open_file(self._file, why))

    def close(self) -> None:
        self._db.close()
        self._closed = True

    def numbers(self) -> dict[str, int]:
        """The last number of each topic."""
        return dict(self._db.execute("select topic, last from sequence"))

    def last_id(self) -> int:
        last = self._db.execute("select seq from sqlite_sequence where name='message'").fetchone()
        return int(last[0]) if last else 0

    def last_session(self) -> int:
        return int(self._db.execute("select coalesce(max(session), 0) from start").fetchone()[0])

    def start(self) -> int:
        """Enters a start of the daemon; returns its number."""
        return int(self._db.execute("insert into start(at) values(?)", (time.time(),)).lastrowid or 0)

    def write(
        self,
        rows: Collection[Row],
        numbers: Mapping[str, int],
        verdicts: Mapping[int, Verdict],
        lost: Counter[str],
        *,
        durable: bool = False,
    ) -> room.Gone:
        """All or nothing. lost: dropped elsewhere, by topic. durable: on the disk when this returns.

        Returns what had to go for it.
        """
        size = sum(len(row.payload) + room.ROW_BYTES for row in rows)
        settled = 0
        self._db.execute(f"pragma synchronous={'full' if durable else 'normal'}")
        with self._transaction():
            self._db.executemany("insert or replace into sequence values(?,?)", numbers.items())
            for row_id, verdict in verdicts.items():
                settled += self._settle(row_id, *verdict)
            room.count(self._db, "dropped", lost)
            gone = self._make_room(len(rows), size)
            self._db.executemany(
                f"insert into message({stored_rows.COLUMNS}) values(?,?,?,?,?,?,?,?,?,?,?)",  # nosec # B608: our own words
                map(stored_rows.written, rows),
            )
        self.unsent += len(rows) - settled - gone.unsent
        self.bytes += size - gone.bytes
        return gone

    def sweep(self, step: float) -> int:
        """Deletes what nobody can use any more; returns how many. step: by how much UTC was set since the
        last call, seconds: what waits is as old as it was, and is due as soon."""
        with self._transaction():
            if step:
                moved = "update message set created=created+?, retry=retry+? where state in (0,2)"
                self._db.execute(moved, (step, step))
            gone = room.expired(self._db, time.time())
        self._left(gone)
        return gone.rows

    def waiting(self, after: int, most: int) -> list[Row]:
        return self._rows(f"state={WAITING} and id>? order by id limit ?", (after, most))

    def refused(self, now: float, most: int) -> list[Row]:
        """Due to be offered once more, those that wait longest first."""
        return self._rows(f"state={REFUSED} and retry<=? order by retry, id limit ?", (now, most))

    def again(self, most: int) -> list[Row]:
        return self._rows(f"state={AGAIN} order by id limit ?", (most,))

    def followed(self, row: Row) -> bool:
        """Whether a later message of the same topic was sent, or is on its way."""
        query = f"select 1 from message where topic=? and id>? and state<>{REFUSED} limit 1"  # nosec # B608: a number
        return bool(self._db.execute(query, (row.topic, row.id)).fetchone())

    def replay(self, start: float, end: float, wanted: Callable[[str], bool]) -> int:
        marked = 0
        with self._transaction():
            topics = [topic for (topic,) in self._db.execute("select distinct topic from message")]
            for topic in filter(wanted, topics):
                marked += self._db.execute(
                    "update message set state=? where topic=? and state=? and created between ? and ?",
                    (AGAIN, topic, SENT, start, end),
                ).rowcount
        return marked

    def purge(self, keep_days: float) -> int:
        now, kept = time.time(), keep_days * 86400
        with self._transaction():
            gone = room.too_old(self._db, now - kept, now - min(_FRESH_KEPT_S, kept))
        self._left(gone)
        return gone.rows

    def gone(self, lost: Counter[str]) -> dict[str, int]:
        """What became of messages that are not there any more, in all and by kind: `dropped_emotion`.

        lost: dropped elsewhere, by topic.
        """
        found: Counter[str] = Counter(dropped=0, expired=0, forgotten=0)
        tally = self._db.execute("select topic, what, number from tally").fetchall()
        for topic, what, number in [*tally, *((topic, "dropped", n) for topic, n in lost.items())]:
            found[what] += number
            found[f"{what}_{topic.rpartition('/')[2]}"] += number
        return dict(found)

    def number_refused(self) -> int:
        found = self._db.execute("select count(*) from message where state=?", (REFUSED,)).fetchone()
        return int(found[0])

    def refused_topics(self) -> list[str]:
        found = self._db.execute(
            # Of the newest only: this is asked often, and there may be many.
            "select distinct topic from (select topic from message where state=? order by id desc limit 300)",
            (REFUSED,),
        )
        return [topic for (topic,) in found.fetchall()[:3]]

    def _use(self, db: sqlite3.Connection, damage: str) -> None:
        self._db, self.damage = db, damage
        self._unreadable = 0
        self._closed = False
        query = "select count(*), sum(length(payload)), sum(state in (0,2)) from message"
        rows, size, unsent = db.execute(query).fetchone()
        self.bytes = int(size or 0) + rows * room.ROW_BYTES
        self.unsent = int(unsent or 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._db:
            self._db.execute("begin immediate")
            yield

    def _settle(self, row_id: int, reason: int, at: float) -> int:
        """Returns how many unsent rows there are less."""
        found = self._db.execute("select state, tries, topic from message where id=?", (row_id,)).fetchone()
        if found is None:
            return 0
        before, tries, topic = found
        if not failed(reason):
            update = "update message set state=?, settled=?, reason=? where id=?"
            self._db.execute(update, (SENT, at, reason, row_id))
            self._accepted(row_id, topic, was_refused=before == REFUSED)
            return int(before in (WAITING, REFUSED))
        if before == AGAIN:  # it was delivered once, and whoever asked is not allowed to have it anew
            self._db.execute("update message set state=? where id=?", (SENT, row_id))
            return 0
        # After six weeks of refusals the power would be too large for a float.
        retry = at + min(_RETRY_S[0] * 2 ** min(tries, 30), _RETRY_S[1])
        update = "update message set state=?, settled=?, reason=?, tries=?, retry=? where id=?"
        self._db.execute(update, (REFUSED, at, reason, tries + 1, retry, row_id))
        return 0

    def _accepted(self, row_id: int, topic: str, *, was_refused: bool) -> None:
        """What was refused in this topic before is history now, and need not wait where it was access that
        was denied: somebody has mended the rules. Other reasons lie in a message itself."""
        refused = "update message set retain=iif(id<?, 0, retain), retry=iif(? or reason=?, 0, retry)"
        values = (row_id, was_refused, NOT_AUTHORISED, REFUSED, topic)
        # The plus keeps SQLite to the index of the few that are refused.
        self._db.execute(f"{refused} where state=? and +topic=?", values)

    def _make_room(self, rows: int, size: int) -> room.Gone:
        # Some at a time, so that a full outbox does not pay for a search at every message.
        some = max(1, self._max_waiting // 100)
        gone = room.Gone()
        while self.bytes + size - gone.bytes > self._max_bytes:
            more = room.oldest_sent(self._db, some)
            if not more.rows:
                break
            gone += more
        while (
            self.unsent + rows - gone.unsent > self._max_waiting
            or self.bytes + size - gone.bytes > self._max_bytes
        ):
            more = room.oldest_unsent(self._db, some)
            if not more.rows:
                break
            gone += more
        return gone

    def _left(self, gone: room.Gone) -> None:
        self.unsent -= gone.unsent
        self.bytes -= gone.bytes

    def _rows(self, where: str, values: tuple[object, ...]) -> list[Row]:
        query = f"select {stored_rows.COLUMNS} from message where {where}"  # nosec # B608: our own words
        rows, damaged = [], []
        for found in self._db.execute(query, values).fetchall():
            try:
                rows.append(stored_rows.read(found))
            except ValueError:
                damaged.append(found)
        if damaged and self._take_aside(damaged) and not rows:
            return self._rows(where, values)  # none of these is not none at all
        return rows

    def _take_aside(self, damaged: list[tuple[Any, ...]]) -> bool:
        """One message that cannot be read must not keep back the others. False where the disk is full: they
        are met again."""
        topics = Counter(str(found[2]) for found in damaged)
        try:
            with self._transaction():
                ids = [(UNREADABLE, found[0]) for found in damaged]
                self._db.executemany("update message set state=? where id=?", ids)
                room.count(self._db, "damaged", topics)
        except sqlite3.Error as why:
            if is_damage(why):
                raise
            return False
        self.unsent -= sum(found[-1] in (WAITING, REFUSED) for found in damaged)
        self._unreadable += len(damaged)
        self.damage = (
            f"outbox is damaged: {self._unreadable} messages in it cannot be read, as in {max(topics)}: "
        )
        self.damage += f"kept there with state {UNREADABLE}, and not sent"
        return True
