"""What is wrong with an outbox, as alarms: each begins once, and ends when it is over."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from daemon.alarms import Alarms

_DISK, _REFUSED, _DAMAGED, _FULL = "outbox-disk", "outbox-refused", "outbox-damaged", "outbox-full"


class OutboxAlarms:
    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms

    @property
    def refusing(self) -> bool:
        return _REFUSED in self._alarms

    @property
    def is_full(self) -> bool:
        return _FULL in self._alarms

    def disk(self, why: sqlite3.Error | OSError | None) -> None:
        """None: it takes messages again."""
        if why is None:
            self._alarms.end(_DISK)
            return
        line = f"the state directory takes no messages ({why}): they are kept in memory: make room"
        self._alarms.begin(_DISK, line)

    def full(self, now: bool) -> None:
        if not now:
            self._alarms.end(_FULL)
            return
        line = "the outbox is full: the oldest readings, then states and episodes, are dropped"
        self._alarms.begin(_FULL, line)

    def damaged(self, line: str) -> None:
        """It stays until the next start: what was in the file is not in this one."""
        self._alarms.begin(_DAMAGED, line)

    def refused(self, topics: Sequence[str]) -> None:
        """topics: of all messages that the broker refuses at present."""
        if not topics:
            self._alarms.end(_REFUSED)
            return
        line = "the broker refuses messages, which are kept: check its access rules for "
        self._alarms.begin(_REFUSED, line + ", ".join(topics))
