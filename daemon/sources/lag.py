"""How fresh a sample is that its own clock has stamped."""

from __future__ import annotations

import math

# How fast the usual lag may grow: clocks drift by less than 0.1 %.
_CREEP = 1e-3
# After a reconnection a backlog drains within seconds. A lag that stays is another way of stamping.
_PROBATION_S = 10.0
_ANOTHER_S = 1.0


class Lag:
    """Learns the least time from stamp to arrival; what takes longer has waited somewhere on the way.

    It holds over reconnections: an outlet that hung for a minute and then sends all it has kept does not
    make old samples fresh.
    """

    def __init__(self) -> None:
        self._least = math.inf
        self._at = 0.0
        self._trial: float | None = None  # least lag since the reconnection, while it is on probation
        self._until = 0.0

    def reopen(self, now: float) -> None:
        """A new connection begins. now: monotonic, seconds."""
        if math.isfinite(self._least):
            self._trial, self._until = math.inf, now + _PROBATION_S

    def arrived(self, stamp: float, now: float) -> float:
        """When a sample that is in hand reached this host, monotonic seconds. stamp: on the same clock."""
        lag, grown = now - stamp, _CREEP * (now - self._at)
        self._at = now
        self._least = min(lag, self._least + grown)
        if self._trial is not None:
            self._trial = min(lag, self._trial + grown)
            if now >= self._until:
                if self._trial - self._least > _ANOTHER_S:
                    self._least = self._trial
                self._trial = None
        return stamp + self._least
