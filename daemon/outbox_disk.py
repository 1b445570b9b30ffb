"""The outbox's disk: what it refuses is said once, and tried again later; a damaged file is replaced."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from daemon.outbox_alarms import OutboxAlarms
from daemon.outbox_file import is_damage
from daemon.outbox_store import Store

T = TypeVar("T")

# How soon a disk that took nothing is tried again, seconds.
_AGAIN_S = 1.0
# Likewise, where there was no room to save what waits in a damaged file: each time all of it is read.
_SAVE_AGAIN_S = 30.0


class Disk:
    """ill: it took nothing when it was last asked. replaced: called once a damaged file has been replaced."""

    def __init__(self, store: Store, trouble: OutboxAlarms, replaced: Callable[[], None]) -> None:
        self.ill = False
        self._store = store
        self._trouble = trouble
        self._replaced = replaced
        self._tried = 0.0
        self._damage = ""  # of a file that is still in use, as there is no room to begin anew

    def do(self, what: Callable[[], T]) -> T | None:
        """None where SQLite refuses it; a damaged file is replaced."""
        if self._damage:
            return None
        try:
            found = what()
            if self._store.damage:
                self._trouble.damaged(self._store.damage)
            return found
        except sqlite3.Error as why:
            if is_damage(why):
                self._replace(str(why))
            else:
                self._trouble.disk(why)
            self.ill = True
            self._tried = time.monotonic()
        return None

    def is_due(self, *, at_once: bool = False) -> bool:
        """Whether an ill one is to be tried again now; it counts as well until it refuses something."""
        pause = _SAVE_AGAIN_S if self._damage else _AGAIN_S
        if not self.ill or (time.monotonic() - self._tried < pause and not at_once):
            return False
        self._tried = time.monotonic()
        if self._damage and not self._replace(self._damage):
            return False
        self.ill = False
        return True

    def _replace(self, damage: str) -> bool:
        """False where there is no room to save what waits: until there is, the damaged file stays."""
        try:
            self._store.begin_anew(damage)
        except (sqlite3.Error, OSError) as why:
            self._damage = damage
            self._trouble.disk(why)
            return False
        self._damage = ""
        self._replaced()
        return True
