"""The outbox: a SQLite file through which everything passes on its way to the broker.

A row is done only when the broker has confirmed it. A crash, a broker that is away and a cut cable
therefore cost nothing but time. While the disk is full messages are kept in memory, few and counted; a
damaged file is set aside.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from daemon.alarms import Alarms
from daemon.clocks import ClockWatch
from daemon.errors import OutboxError
from daemon.outbox_alarms import OutboxAlarms
from daemon.outbox_disk import Disk
from daemon.outbox_file import sync_log
from daemon.outbox_store import Store, Verdict
from daemon.reasons import failed
from daemon.rows import Keep, Row
from daemon.spill import Spill
from daemon.state_lock import lock

__all__ = ["Keep", "Outbox", "Row"]

log = structlog.get_logger("outbox")

_SWEEP_S = 1.0


class Outbox:
    """One file, one process, one thread. A context manager: leaving it closes the file."""

    def __init__(
        self,
        directory: Path,
        *,
        max_waiting: int = 100_000,
        max_bytes: int = 512 * 2**20,
        alarms: Alarms | None = None,
    ) -> None:
        """max_bytes: of all rows, sent ones included.

        Raises OutboxError where the directory cannot be used or another daemon uses it.
        """
        self.alarms = alarms or Alarms()
        self._trouble = OutboxAlarms(self.alarms)
        self.changed = asyncio.Event()
        """Set whenever there is something to send; whoever waits for it clears it."""
        self._swept = 0.0
        # By how much UTC was set, seconds, where what waits on the disk does not know of it yet.
        self._clock, self._step = ClockWatch(), 0.0
        # The newest row of each topic.
        self._newest: dict[str, int] = {}
        # What the disk has not taken yet: rows, numbers by topic, the broker's verdicts, drops by topic.
        self._spill = Spill(lambda row: self._lost.update([row.topic]))
        self._numbers: dict[str, int] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._lost: Counter[str] = Counter()
        self._lock = lock(directory)
        self._file = file = directory / "outbox.sqlite"
        try:
            self._store = Store(file, max_waiting, max_bytes)
            self._disk = Disk(self._store, self._trouble, self._renumber)
            self._last = self._store.numbers()
            self._next_id = self._store.last_id() + 1
            # Where the disk is full the count goes on, though this start will not be in it.
            self.session = self._disk.do(self._store.start) or self._store.last_session() + 1
        except (sqlite3.Error, OSError) as why:
            self._lock.close()
            raise OutboxError(f"outbox {file}: {why}: make room or set [state] directory") from None
        self._look()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self._recover(at_once=True)
        if len(self._spill):
            log.error("the disk never took these: they are lost", topics=dict(self._spill.by_topic()))
        self._store.close()
        self._lock.close()

    def next_seq(self, topic: str) -> int:
        """Takes the next number of `topic`, for a message that is sent past the outbox."""
        number = self._number(topic)
        self._write([])
        return number

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
        """Stores a message, in memory where the disk takes none. Its payload must carry `peek_seq(topic)`."""
        self._mind_clock()  # first, so that a clock that was set ages what was put before, and this not
        self._number(topic)
        row = Row(self._next_id, time.time(), topic, payload, qos, retain, keep, expiry_s, correlation)
        self._next_id += 1
        self._newest[topic] = row.id
        self._recover()
        if self._disk.ill or not self._write([row]):
            self._spill.put(row)
        self.changed.set()

    def harden(self) -> None:
        """Returns when no power cut can take away what was put before. From any thread; may take a while,
        which is why it is no part of `put`. Raises OutboxError, also where a record is in memory only."""
        if any(row.keep is Keep.ALWAYS for row in self._spill):
            raise OutboxError("outbox: records wait in memory: make room in the state directory")
        sync_log(self._file)

    def waiting(self, after: int, most: int) -> list[Row]:
        """Up to `most` messages with an id above `after`, oldest first."""
        self._mind_clock()
        self._recover()
        if not self._disk.ill and time.monotonic() - self._swept > _SWEEP_S:
            self._sweep()
        found: list[Row] = []
        last, whole = after, True
        while whole and len(found) < most:
            page = self._page(last, most)
            whole = len(page) == most
            last = page[-1].id if page else last
            found += [row for row in page if row.id not in self._verdicts]
        return (found + self._spill.after(after, most))[:most]

    def refused(self) -> Row | None:
        """A message that the broker refused and that is due to be offered once more, if there is one.

        None where the disk takes nothing: what comes of it could not be written down, nor of those `again`.
        """
        due = self._disk.do(lambda: self._store.refused(time.time(), 1)) if not self._disk.ill else None
        return next((row for row in due or [] if row.id not in self._verdicts), None)

    def again(self, most: int, flying: Collection[int]) -> list[Row]:
        """Up to `most` messages that were sent and are asked for anew, without those that are under way."""
        if self._disk.ill:
            return []
        without = {*flying, *self._verdicts}
        found = self._disk.do(lambda: self._store.again(most + len(without))) or []
        return [row for row in found if row.id not in without][:most]

    def is_present(self, row: Row) -> bool:
        """False where a later message of the same topic goes before it: it is history then."""
        if self._newest.get(row.topic, 0) > row.id:
            return False
        return not self._disk.do(lambda: self._store.followed(row))

    def settle(self, row_id: int, reason: int) -> None:
        """The broker's verdict: below 128 is done; above, refused: kept apart, and in nobody's way."""
        if row_id in self._spill:
            if failed(reason):
                self._spill.refuse(row_id)
            else:
                self._spill.pop(row_id)
            return
        self._verdicts[row_id] = (reason, time.time())
        if not self._disk.ill:
            self._write([])
        if failed(reason) or self._trouble.refusing:
            self._look()

    def replay(self, start: float, end: float, wanted: Callable[[str], bool]) -> int:
        """Marks what was made from `start` to `end` (UTC seconds) to be sent again; returns how many.

        wanted: asked once a topic. Raises OutboxError where the disk does not take the marks.
        """
        marked = self._disk.do(lambda: self._store.replay(start, end, wanted))
        if marked is None:
            raise OutboxError("the state directory cannot be written: make room")
        self.changed.set()
        return marked

    def purge(self, keep_days: float) -> int:
        """Deletes messages sent more than `keep_days` ago; returns how many."""
        return self._disk.do(lambda: self._store.purge(keep_days)) or 0

    def counts(self) -> dict[str, int]:
        """waiting, refused, in_memory: rows now. kib: of the file. Since the file began: dropped, expired,
        forgotten (sent, and gone before their days were over), damaged; and by kind, as dropped_emotion."""
        gone = self._disk.do(lambda: self._store.gone(self._lost)) or {}
        refused = self._disk.do(self._store.number_refused) or 0
        return {
            # Verdicts that are not written down yet are of messages that waited.
            "waiting": max(0, self._store.unsent - refused - len(self._verdicts)) + len(self._spill),
            "refused": refused,
            "in_memory": len(self._spill),
            "kib": self._store.bytes // 1024,
            **gone,
        }

    def _page(self, after: int, most: int) -> list[Row]:
        """Of what waits by the file. Some may be settled: while the disk takes nothing that is not written
        down, and may be thousands."""
        return self._disk.do(lambda: self._store.waiting(after, most)) or []

    def _number(self, topic: str) -> int:
        self._last[topic] = self._numbers[topic] = self.peek_seq(topic)
        return self._last[topic]

    def _write(self, rows: list[Row], *, durable: bool = False) -> bool:
        """Rows, and whatever else the disk has not taken yet; False where it takes nothing."""
        args = (rows, dict(self._numbers), dict(self._verdicts), Counter(self._lost))
        gone = self._disk.do(lambda: self._store.write(*args, durable=durable))
        if gone is None:
            return False
        self._numbers.clear()
        self._verdicts.clear()
        self._lost.clear()
        if gone.unsent:
            self._trouble.full(True)
        elif not rows and self._trouble.is_full and self._store.unsent == self._store.number_refused():
            self._trouble.full(False)
        return True

    def _mind_clock(self) -> None:
        """What waits is no older for a clock that was set."""
        step = self._clock.step()
        if step:
            self._spill.shift(step)
            self._step += step
        if self._step and not self._disk.ill:
            self._sweep()

    def _sweep(self) -> None:
        """Deletes what has expired."""
        self._swept = time.monotonic()
        if self._disk.do(lambda: self._store.sweep(self._step)) is not None:
            self._step = 0.0

    def _recover(self, *, at_once: bool = False) -> None:
        """Writes what is in memory, now and then, until the disk takes it."""
        if not self._disk.is_due(at_once=at_once):
            return
        self._mind_clock()  # before rows that know of a clock that was set lie among those that do not
        rows = list(self._spill)
        if not self._disk.ill and self._write(rows, durable=True):
            for row in rows:
                self._spill.pop(row.id)
            self._trouble.disk(None)
            self._look()

    def _renumber(self) -> None:
        """What was saved of a damaged file may lack the newest numbers."""
        self._numbers |= self._last
        self._look()

    def _look(self) -> None:
        self._trouble.refused(self._disk.do(self._store.refused_topics) or [])
