"""Lets samples fall due at their rate, whatever else the machine does."""

from __future__ import annotations

import threading
import time


class Pacer:
    """Says how many samples should have come since it was made, by the monotonic clock.

    rate: samples a second, Hz. The count is exact over any time: a late caller gets more at once.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._done = 0
        self._start = time.monotonic()

    def due(self) -> int:
        """Samples due and not yet taken."""
        return int((time.monotonic() - self._start) * self._rate) - self._done

    def take(self, n: int) -> float:
        """Count n samples as done. Returns the monotonic time at which the last of them was due, seconds."""
        self._done += n
        return self._start + self._done / self._rate

    def pause(self, seconds: float) -> None:
        """Let nothing fall due for this long."""
        self._start += seconds

    def wait(self, n: int, timeout_s: float, stop: threading.Event | None = None) -> bool:
        """Wait until n samples are due; False where that takes longer than timeout_s or `stop` is set."""
        missing = self._start + (self._done + n) / self._rate - time.monotonic()
        delay = max(0.0, min(missing, timeout_s))
        if stop is not None:
            if stop.wait(delay):
                return False
        elif delay:
            time.sleep(delay)
        return missing <= timeout_s
