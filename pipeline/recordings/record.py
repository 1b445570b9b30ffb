"""What every recording format is read into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.records import Float32


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """An uninterrupted stretch of a recording.

    data: float32 (n_channels, n_samples), µV.
    start: its first sample, seconds since the recording's first sample.
    """

    data: Float32
    start: float

    @property
    def n_samples(self) -> int:
        return int(self.data.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recording in memory.

    channels: names as the file spells them, one a row; all channels that carry a voltage at `rate`.
    rate: Hz.
    segments: in time order; more than one where samples are missing in between.
    start_utc: UTC of the first sample, seconds since the Unix epoch; None where the file does not say
        (EDF and BrainVision state a local time without its zone).
    warnings: what had to be assumed, one line each.
    """

    path: Path
    channels: tuple[str, ...]
    rate: float
    segments: tuple[Segment, ...]
    start_utc: float | None
    warnings: tuple[str, ...] = ()

    @property
    def n_samples(self) -> int:
        return sum(segment.n_samples for segment in self.segments)

    @property
    def seconds(self) -> float:
        """Recorded time, gaps not counted."""
        return self.n_samples / self.rate
