"""Slows down whoever guesses passwords, by account and by address."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

# Failures that cost nothing: people mistype.
FREE = 5
_FIRST_S, _MOST_S = 2.0, 900.0
# After so long without a failure all is forgotten.
_FORGET_S = 3600.0
# Keys that are remembered; the least recently used go first, so that a flood of names costs no memory.
_MOST_KEYS = 4096


@dataclass
class _Failures:
    count: int
    until: float
    last: float


class Throttle:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, keys: tuple[str, ...], now: float) -> float:
        """Seconds until the next attempt is heard; 0 for now."""
        return max((max(0.0, f.until - now) for k in keys if (f := self._failures.get(k))), default=0.0)

    def failed(self, keys: tuple[str, ...], now: float) -> None:
        """Each failure beyond the free ones doubles the wait."""
        for key in keys:
            before = self._failures.pop(key, None)
            count = 1 if before is None or now - before.last > _FORGET_S else before.count + 1
            wait = 0.0 if count < FREE else min(_FIRST_S * 2.0 ** min(count - FREE, 16), _MOST_S)
            self._failures[key] = _Failures(count, now + wait, now)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """key: the account's; an address is not cleared by one good login of somebody."""
        self._failures.pop(key, None)
