"""Episodes: stretches of a stable state, told from smoothed readings with hysteresis."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from pipeline.records import Episode, Reading

# A state begins where its smoothed probability stays above ENTER for HOLD_S and ends below LEAVE: two
# thresholds keep a probability that hovers around one of them from making many short episodes.
ENTER = 0.65
LEAVE = 0.45
HOLD_S = 10.0
# A running episode is told again this often, seconds.
UPDATE_S = 30.0


@dataclass(slots=True)
class _Candidate:
    label: str
    since: float


class EpisodeTracker:
    """Turns one stream's readings into episodes; a gap ends the one that runs."""

    def __init__(self) -> None:
        self._segment: int | None = None
        self._running: Episode | None = None
        self._told = 0.0
        self._candidate: _Candidate | None = None

    def feed(self, reading: Reading) -> list[Episode]:
        """Begins, updates and ends that this reading causes, in order."""
        told: list[Episode] = []
        if reading.span.segment != self._segment:
            told += self.close()
            self._segment = reading.span.segment
        if reading.abstained or not reading.p_smooth:
            return told
        if self._running is not None:
            told += self._continue(self._running, reading)
        if self._running is None:
            told += self._consider(reading)
        return told

    def close(self) -> list[Episode]:
        """Ends the running episode where it was last seen."""
        self._candidate = None
        if self._running is None:
            return []
        ended, self._running = replace(self._running, phase="end"), None
        return [ended]

    def _continue(self, running: Episode, reading: Reading) -> list[Episode]:
        p = reading.p_smooth[running.label]
        if p < LEAVE:
            return self.close()
        n = running.readings
        running = replace(
            running,
            phase="update",
            end=reading.span.end,
            readings=n + 1,
            p_mean=(running.p_mean * n + p) / (n + 1),
        )
        self._running = running
        if reading.span.end - self._told < UPDATE_S:
            return []
        self._told = reading.span.end
        return [running]

    def _consider(self, reading: Reading) -> list[Episode]:
        label = max(reading.p_smooth, key=reading.p_smooth.__getitem__)
        if reading.p_smooth[label] < ENTER:
            self._candidate = None
            return []
        if self._candidate is None or self._candidate.label != label:
            self._candidate = _Candidate(label, reading.span.end)
        if reading.span.end - self._candidate.since < HOLD_S:
            return []
        self._running = Episode(
            id=str(uuid.uuid4()),
            phase="begin",
            label=label,
            start=self._candidate.since,
            end=reading.span.end,
            readings=1,
            p_mean=reading.p_smooth[label],
        )
        self._told = reading.span.end
        return [self._running]
