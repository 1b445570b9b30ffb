"""Readings over time: single windows flicker, a person's state does not."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from pipeline.records import Reading

# Time constant, seconds: three windows of the usual length reach 95 % of a change.
TIME_CONSTANT_S = 10.0
# Probabilities are kept off 0 and 1, so that one window cannot outvote all that follow.
_FLOOR = 1e-3


class Smoother:
    """Exponential smoothing of log-probabilities over the readings of a segment.

    Abstentions leave the state alone; a new segment, that is a gap, forgets it.
    """

    def __init__(self, time_constant: float = TIME_CONSTANT_S) -> None:
        self._time_constant = time_constant
        self._segment: int | None = None
        self._end_s = 0.0
        self._log_p: dict[str, float] = {}

    def feed(self, reading: Reading) -> Reading:
        """The same reading with `p_smooth` filled in; empty while nothing was read in this segment."""
        span = reading.span
        if span.segment != self._segment:
            self._segment, self._log_p = span.segment, {}
        if reading.p:
            new = {label: log(max(p, _FLOOR)) for label, p in reading.p.items()}
            if self._log_p:
                keep = exp(-max(span.end_s - self._end_s, 0.0) / self._time_constant)
                new = {label: keep * self._log_p[label] + (1 - keep) * value for label, value in new.items()}
            self._log_p, self._end_s = new, span.end_s
        total = sum(exp(value) for value in self._log_p.values())
        return replace(reading, p_smooth={label: exp(value) / total for label, value in self._log_p.items()})
