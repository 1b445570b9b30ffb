"""The course of an episode: what its readings and codes add up to, in memory that does not grow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.calibration import LEVELS, MIDDLE, RANGE
from pipeline.records import CompressedWindow, Episode, Float64, Reading
from pipeline.wavelet import BANDS, METHODS, EnergyMethod

# Listed one by one; what comes after is counted. A page has room for no more.
MOST_STRETCHES = 24
# Of the chart: one pixel column each is plenty. When full, every second one is dropped.
MOST_POINTS = 240


@dataclass(frozen=True, slots=True)
class Stretch:
    """Readings in a row with one label; None where nothing could be read. start, end: UTC seconds."""

    label: str | None
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Course:
    """What was measured between an episode's start and its end so far.

    seconds: time read as each label. abstained_s: time in which the model abstained. unread_s: time without
    any reading. stretches: in order; more_stretches were too many to list. points: (UTC seconds, smoothed
    probability of the episode's label). deviations: of each electrode, (n_bands,) mean distance from rest in
    spreads; empty where the compression has no bands. saturated: of each electrode and band, whether any code
    was at its limit. codes: of each electrode, mean codes as the model reads them. good: share of windows in
    which a channel was good, 0..1. quality: mean share of good channels. clock_s: largest uncertainty of a
    time, seconds.
    """

    episode: Episode
    seconds: dict[str, float]
    abstained_s: float
    unread_s: float
    stretches: tuple[Stretch, ...]
    more_stretches: int
    points: tuple[tuple[float, float], ...]
    windows: int
    deviations: dict[str, tuple[float, ...]]
    saturated: dict[str, tuple[bool, ...]]
    codes: dict[str, tuple[int, ...]]
    good: dict[str, float]
    quality: float
    clock_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A reading and the window it was read from, where there was one."""

    reading: Reading
    window: CompressedWindow | None


@dataclass(eq=False)
class Sums:
    """Running sums over entries.

    start: UTC seconds from which time counts. hop: usual distance of readings, seconds.
    """

    start: float
    label: str
    hop: float
    seconds: dict[str, float] = field(default_factory=dict)
    abstained_s: float = 0.0
    unread_s: float = 0.0
    stretches: list[Stretch] = field(default_factory=list)
    more_stretches: int = 0
    points: list[tuple[float, float]] = field(default_factory=list)
    readings: int = 0
    quality: float = 0.0
    clock_s: float = 0.0
    windows: int = 0
    _end: float | None = None
    _stride: int = 1
    _method: str = ""
    _codes: dict[str, Float64] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _limits: dict[str, Float64] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        reading, span = entry.reading, entry.reading.span
        self._time(reading.label, span.end)
        if self.label in reading.p_smooth and self.readings % self._stride == 0:
            self.points.append((span.end, reading.p_smooth[self.label]))
            if len(self.points) > MOST_POINTS:
                self.points, self._stride = self.points[::2], self._stride * 2
        self.readings += 1
        self.quality += reading.quality
        self.clock_s = max(self.clock_s, span.time_uncertainty)
        if entry.window is not None:
            self._window(entry.window)

    def _time(self, label: str | None, end: float) -> None:
        """A reading stands for the time since the one before, at most a hop: more was not read."""
        before = self.start if self._end is None else self._end
        self._end = end
        lasted = min(max(end - before, 0.0), self.hop * 1.5)
        self.unread_s += max(end - before, 0.0) - lasted
        if label is None:
            self.abstained_s += lasted
        else:
            self.seconds[label] = self.seconds.get(label, 0.0) + lasted
        if lasted == 0:
            return
        last = self.stretches[-1] if self.stretches and not self.more_stretches else None
        if last is not None and last.label == label and end - lasted - last.end < self.hop / 2:
            self.stretches[-1] = Stretch(label, last.start, end)
        elif len(self.stretches) < MOST_STRETCHES:
            self.stretches.append(Stretch(label, end - lasted, end))
        else:
            self.more_stretches += 1

    def _window(self, window: CompressedWindow) -> None:
        self.windows += 1
        self._method = window.method
        for name, codes in zip(window.channels, window.codes, strict=True):
            if name not in self._codes:
                self._codes[name] = np.zeros(len(codes))
                self._limits[name] = np.zeros(len(codes))
                self._counts[name] = 0
            self._codes[name] += codes
            self._limits[name] += (codes == 0) | (codes == LEVELS - 1)
            self._counts[name] += 1

    def course(self, episode: Episode) -> Course:
        means = {name: total / self._counts[name] for name, total in self._codes.items()}
        bands = n_bands(self._method)
        return Course(
            episode=episode,
            seconds=dict(self.seconds),
            abstained_s=self.abstained_s,
            unread_s=self.unread_s,
            stretches=tuple(self.stretches),
            more_stretches=self.more_stretches,
            points=tuple(self.points),
            windows=self.windows,
            deviations={
                name: tuple(deviation(mean).reshape(bands, -1).mean(axis=1).tolist())
                for name, mean in means.items()
                if bands
            },
            saturated={
                name: tuple((limit.reshape(bands, -1).sum(axis=1) > 0).tolist())
                for name, limit in self._limits.items()
                if bands
            },
            codes={name: tuple(int(code) for code in np.rint(mean)) for name, mean in means.items()},
            good=self._good(),
            quality=self.quality / self.readings if self.readings else 0.0,
            clock_s=self.clock_s,
        )

    def _good(self) -> dict[str, float]:
        return {name: count / self.windows for name, count in self._counts.items()}


def deviation(codes: Float64) -> Float64:
    """Spreads from rest that codes stand for: the middle of each code's interval."""
    return (codes - MIDDLE + 0.5) * (2 * RANGE / LEVELS)


def n_bands(method: str) -> int:
    """How many bands a window's codes hold; 0 for methods without."""
    found = METHODS.get(method.partition("/")[0])
    return len(BANDS) if isinstance(found, EnergyMethod) else 0
