"""Notices what the host's clocks do: set by hand or by NTP, and stopped while the machine slept.

Durations are measured on the monotonic clock, which nobody can set; UTC is only ever a stamp.
"""

from __future__ import annotations

import time

import numpy as np

from pipeline.records import Float64

# Slewing moves a clock by at most 0.05 % of the time that passes (adjtime(3)): this is a step.
STEP_S = 0.5


def utc_offset() -> float:
    """UTC minus the monotonic clock, seconds."""
    return time.time() - time.monotonic()


def _elapsed() -> float:
    """Seconds that passed for the world, sleep of the machine included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Remembers how the clocks stood to each other when it was last asked."""

    def __init__(self) -> None:
        self._utc = time.time() - _elapsed()
        self._slept = _elapsed() - time.monotonic()

    def step(self) -> float:
        """By how much UTC was set since the last call, seconds; 0.0 where it was not."""
        utc = time.time() - _elapsed()
        step, self._utc = utc - self._utc, utc
        return step if abs(step) >= STEP_S else 0.0

    def slept(self) -> float:
        """How long the machine slept since the last call, seconds; 0.0 where it did not."""
        slept = _elapsed() - time.monotonic()
        length, self._slept = slept - self._slept, slept
        return length if length >= STEP_S else 0.0


class UtcStamps:
    """Lays stamps of this host's UTC clock onto its monotonic one, though UTC may be set in between."""

    def __init__(self) -> None:
        self._before = utc_offset()

    def monotonic(self, stamps: Float64) -> Float64:
        """stamps: (n,), UTC seconds, of just now. Those made before a step are told by where they fall."""
        before, self._before = self._before, utc_offset()
        new = stamps - self._before
        if abs(self._before - before) < STEP_S:
            return new
        old, now = stamps - before, time.monotonic()
        return np.where(np.abs(old - now) < np.abs(new - now), old, new)


# What is under way when UTC is set, as a window that is being read, is told within seconds.
_UNDER_WAY_S = 10.0


class UtcOnHost:
    """How far UTC is from the monotonic clock; for times of before a step, where they come late, too."""

    def __init__(self) -> None:
        self._now = self._before = utc_offset()
        self._until = 0.0

    def offset(self, at: float) -> float:
        """UTC minus the monotonic clock, seconds, when UTC was `at`, seconds since the Unix epoch."""
        now = utc_offset()
        if abs(now - self._now) >= STEP_S:
            self._before, self._until = self._now, time.monotonic() + _UNDER_WAY_S
        self._now = now
        if time.monotonic() < self._until:
            return min(now, self._before, key=lambda offset: abs(at - offset - time.monotonic()))
        return now
