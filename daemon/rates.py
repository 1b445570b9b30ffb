"""How often something may happen: a token bucket."""

from __future__ import annotations


class Allowance:
    """`burst` at once, then one every `every_s` seconds."""

    def __init__(self, burst: int, every_s: float) -> None:
        self._burst = burst
        self._every_s = every_s
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """now: monotonic seconds. False where there has been too much."""
        self._refill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def wait_s(self, now: float) -> float:
        """Until `take` would be true."""
        self._refill(now)
        return max(0.0, 1 - self._left) * self._every_s

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._left = min(self._burst, self._left + max(0.0, now - self._at) / self._every_s)
        self._at = now
