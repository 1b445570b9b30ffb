"""How long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Pauses that double up to a bound, with jitter: after a common outage not all should come at once."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self.begin_anew()

    def begin_anew(self) -> None:
        """After a success."""
        self._next_s = self._first_s

    def pause_s(self) -> float:
        """Of the next pause, seconds."""
        pause_s = self._next_s * random.uniform(0.5, 1.5)
        self._next_s = min(2 * self._next_s, self._most_s)
        return pause_s
