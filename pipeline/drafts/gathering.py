"""Gathers what belongs to each episode while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

from pipeline.drafts.course import Course, Entry, Sums
from pipeline.records import CompressedWindow, Episode, Reading

# An episode is told some readings after it began (`episodes.HOLD_S`); these are kept for it.
_RECENT = 64
# Windows on their way through the model: as many as may wait there, with room.
_UNDER_WAY = 128


class Gatherer:
    """One person's. Windows come in order, and so do readings; a window may be dropped unread in between."""

    def __init__(self, hop: float) -> None:
        """hop: distance between windows, seconds."""
        self._hop = hop
        self._windows: deque[CompressedWindow] = deque(maxlen=_UNDER_WAY)
        self._recent: deque[Entry] = deque(maxlen=_RECENT)
        self._episode: Episode | None = None
        self._sums: Sums | None = None
        # With the readings since the last counted one, which may lie behind the episode's end. Sums, not the
        # readings themselves: there may be hours of them.
        self._doubtful: Sums | None = None

    def seen(self, window: CompressedWindow) -> None:
        """A window on its way to the model."""
        self._windows.append(window)

    def heard(self, reading: Reading, told: Sequence[Episode]) -> list[Course]:
        """A reading and what the tracker told of it. Returns the course of each episode that ended."""
        entry = Entry(reading, self._window_of(reading))
        ended = self.told(told)
        began = any(episode.phase == "begin" for episode in told)
        self._recent.append(entry)
        if began and self._episode is not None and self._sums is not None:
            for one in self._recent:
                span = one.reading.span
                if span.segment == reading.span.segment and span.end >= self._episode.start:
                    self._sums.add(one)
            self._recent.clear()
        elif self._episode is not None and self._sums is not None:
            if reading.abstained:
                self._doubtful = self._doubtful or deepcopy(self._sums)
                self._doubtful.add(entry)
            else:
                self._sums, self._doubtful = self._doubtful or self._sums, None
                self._sums.add(entry)
                self._count(reading)
        return ended

    def told(self, told: Sequence[Episode]) -> list[Course]:
        """Begins and ends; also those that no reading caused."""
        ended = []
        for episode in told:
            if episode.phase == "begin":
                self._episode, self._sums = episode, Sums(episode.start, episode.label, self._hop)
            elif episode.phase == "end" and self._sums is not None:
                ended.append(self._sums.course(episode))
                self._episode = self._sums = self._doubtful = None
        return ended

    @property
    def running(self) -> Course | None:
        """The running episode so far."""
        if self._episode is None or self._sums is None:
            return None
        return self._sums.course(self._episode)

    def _count(self, reading: Reading) -> None:
        """The episode goes on up to this reading."""
        assert self._episode is not None
        n = self._episode.readings
        p = reading.p_smooth.get(self._episode.label, 0.0)
        self._episode = replace(
            self._episode,
            phase="update",
            end=reading.span.end,
            readings=n + 1,
            p_mean=(self._episode.p_mean * n + p) / (n + 1),
        )

    def _window_of(self, reading: Reading) -> CompressedWindow | None:
        span = reading.span
        while self._windows and (self._windows[0].span.segment, self._windows[0].span.index) < (
            span.segment,
            span.index,
        ):
            self._windows.popleft()
        if self._windows and self._windows[0].span == span:
            return self._windows.popleft()
        return None
