"""The records that travel through the house, in the order in which they are made.

Arrays are channel-first. Records with arrays compare by identity (`eq=False`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int16 = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive samples of one stream, as they came from a source.

    data: float32 (n_channels, n_samples), µV.
    first_sample: number of the first sample since the stream began; lost samples are counted
        where the source knows how many there were.
    time: UTC of the first sample, seconds since the Unix epoch.
    time_uncertainty: half-width of the error of `time`, seconds.
    arrived: monotonic clock when the last sample arrived, seconds.
    channels: names, one a row of `data`.
    rate: sampling rate the source claims, Hz.
    segment: a gap or a reconnection starts a new segment; samples within one are contiguous.
    stamps: float64 (n_samples,), seconds on the source's own clock, as they came; None where it gives none.
    offset: what to add to the stamps to get the host's monotonic clock, seconds.
    """

    data: Float32
    first_sample: int
    time: float
    time_uncertainty: float
    arrived: float
    channels: tuple[str, ...]
    rate: float
    segment: int
    stamps: Float64 | None = None
    offset: float = 0.0

    @property
    def n_samples(self) -> int:
        return int(self.data.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class ChannelQuality:
    """Verdicts on one window's channels.

    good: bool (n_channels,), the channels that may be used.
    reasons: one a channel: empty if good, else the flags raised, joined by commas.
    score: share of the montage that is good, 0..1.
    """

    good: Bool
    reasons: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """When a window was.

    index: number of the window in its segment, from 0. segment: the segment it lies in.
    start_s, end_s: seconds since the first sample of the stream, by sample count.
    start, end: UTC, seconds since the Unix epoch; time_uncertainty: seconds.
    arrived: monotonic clock of the arrival of its last sample, seconds; its age counts from it.
    """

    index: int
    segment: int
    start_s: float
    end_s: float
    start: float
    end: float
    time_uncertainty: float
    arrived: float


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A filtered, re-referenced stretch of fixed length that crosses no gap.

    data: float64 (n_channels, n_samples), µV, at the pipeline's rate.
    channels: canonical names, one a row.
    """

    data: Float64
    channels: tuple[str, ...]
    quality: ChannelQuality
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class CompressedWindow:
    """What the model sees of a window.

    codes: int16 (n_good_channels, n_codes), deviations from the person's own rest, quantised.
    channels: canonical names of the good channels, one a row.
    method: name and version of the compression, e.g. `w50-energy/1`.
    """

    codes: Int16
    channels: tuple[str, ...]
    method: str
    span: Span
    quality: ChannelQuality


@dataclass(frozen=True, slots=True)
class Calibrating:
    """A window that went into the calibration and is not labelled.

    seconds: rest seen so far; of: seconds wanted; both by sample count.
    """

    span: Span
    quality: ChannelQuality
    seconds: float
    of: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A window that cannot be read, and in one line why."""

    span: Span
    quality: ChannelQuality
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model says of one window.

    label: the most probable label, or None where the reader abstained.
    p: probability of each label, in the bundle's order; empty if nothing could be read.
    p_smooth: the same, smoothed over the readings of the segment.
    reason: why it abstained, else empty.
    infer_s: duration of the model's run, seconds.
    """

    label: str | None
    p: dict[str, float]
    p_smooth: dict[str, float]
    span: Span
    quality: float
    reason: str
    infer_s: float

    @property
    def abstained(self) -> bool:
        return self.label is None


@dataclass(frozen=True, slots=True)
class Episode:
    """A stable state over time: the unit that a record is about.

    phase: `begin`, `update` or `end`. start, end: UTC seconds since the Unix epoch, `end` so far.
    readings: how many readings it rests on. p_mean: mean probability of its label.
    """

    id: str
    phase: str
    label: str
    start: float
    end: float
    readings: int
    p_mean: float
