"""Slows down whoever guesses passwords, by account and by address."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

# Failures that cost nothing: people mistype. Behind one address may be a whole ward.
FREE = 5
FREE_ADDRESS = 20
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

    def wait_s(self, account: str, address: str, now: float) -> float:
        """Seconds until the next attempt is heard; 0 for now."""
        until = (self._failures[key].until for key in (account, address) if key in self._failures)
        return max((max(0.0, one - now) for one in until), default=0.0)

    def failed(self, account: str, address: str, now: float) -> None:
        """Each failure beyond the free ones doubles the wait."""
        for key, free in ((account, FREE), (address, FREE_ADDRESS)):
            before = self._failures.pop(key, None)
            count = 1 if before is None or now - before.last > _FORGET_S else before.count + 1
            wait = 0.0 if count < free else min(_FIRST_S * 2.0 ** min(count - free, 16), _MOST_S)
            self._failures[key] = _Failures(count, now + wait, now)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, account: str, address: str, now: float) -> None:
        """The account's failures are forgotten; of the address's only the one that was none after all, as
        somebody with an account of their own must not be able to guess others'."""
        self._failures.pop(account, None)
        mistaken = self._failures.get(address)
        if mistaken is not None:
            mistaken.count -= 1
            mistaken.until = now
