"""What somebody has to look at: in the log once, in `health` and on the node's status while it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger("alarm")


class Alarms:
    """One line a key. May be used from any thread.

    on_change: called in the thread that changed something; must not block.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._lines: dict[str, str] = {}
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    @property
    def lines(self) -> list[str]:
        """In the order in which they began."""
        with self._lock:
            return list(self._lines.values())

    def begin(self, key: str, line: str) -> None:
        """line: what is wrong and what to do. It may be told again with other words."""
        with self._lock:
            before = self._lines.get(key)
            self._lines[key] = line
        if before is None:
            log.error("alarm: " + line, key=key)
        if before != line:
            self.on_change()

    def end(self, key: str) -> None:
        """Does nothing where there is no such alarm."""
        with self._lock:
            line = self._lines.pop(key, None)
        if line is not None:
            log.info("alarm is over", key=key, was=line)
            self.on_change()
