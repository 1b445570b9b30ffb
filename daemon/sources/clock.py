"""The sample count is the clock; time stamps only steer it and show where samples are missing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.records import Float32, Float64

# Stamps of wireless headsets jitter by tens of milliseconds: a shorter loss cannot be told from that.
GAP_S = 0.1
# A run of late stamps is a gap only if it stays late: what was merely held up on the way ends on time.
_HOLD_S = 0.5
# Memory of the fit, seconds: long against jitter, short against the drift of a warming quartz.
_TAU_S = 30.0
# Known beforehand: stamps jitter by some 10 ms, nominal rates may be wrong by some 5 %.
_JITTER_S = 0.01
_RATE_DOUBT = 0.05
# A period further off than tenfold comes from stamps that mean nothing, as when they stand still.
_PERIOD_ERROR = (-0.9, 9.0)
# Sooner the estimate of the rate says more about jitter than about the rate.
_RATE_AFTER_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Contiguous samples with their place in the stream.

    data: float32 (n_channels, n_samples).
    first_sample: number of the first; counts lost samples where their number is known.
    time: of the first sample by the stamps' clock; jitter: RMS of the stamps around it; seconds.
    arrived: when the last sample arrived, as given to `feed`. stamps, offset: likewise.
    """

    data: Float32
    first_sample: int
    segment: int
    time: float
    jitter: float
    arrived: float
    stamps: Float64
    offset: float


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Samples whose stamps hang together. stamps: float64 (n_samples,), seconds; raw: before the offset."""

    data: Float32
    stamps: Float64
    arrived: float
    raw: Float64
    offset: float


class _Fit:
    """Predicts stamps within a segment: a Kalman filter that forgets with _TAU_S.

    Its state is the time of the next sample (s) and the relative error of the nominal period, which
    stays well conditioned over days, unlike a line through the segment's first sample.
    """

    def __init__(self, start: float, rate: float, period_error: float = 0.0) -> None:
        self._nominal_s = 1 / rate
        self._next = start
        self._error = period_error
        # Variance of the time, covariance, variance of the error. Numbers, as a matrix of four costs a chunk
        # more than all that is done to its samples.
        self._cov = (_JITTER_S**2, 0.0, _RATE_DOUBT**2)
        self._jitter2 = 0.0
        self.seconds = 0.0  # seen so far

    @property
    def period_error(self) -> float:
        return self._error

    @property
    def period(self) -> float:
        """Seconds a sample."""
        return self._nominal_s * (1 + self._error)

    @property
    def jitter(self) -> float:
        return math.sqrt(self._jitter2)

    @property
    def next(self) -> float:
        """Time of the next sample, seconds."""
        return self._next

    def residuals(self, stamps: Float64, ahead: int) -> Float64:
        """How late stamps are that begin `ahead` samples from now, seconds."""
        return stamps - (self._next + (ahead + np.arange(stamps.size)) * self.period)

    def advance(self, n: int) -> None:
        """Let n samples pass whose stamps are not to be trusted."""
        step = n * self._nominal_s
        self._next += step * (1 + self._error)
        grown = math.exp(step / _TAU_S)
        time, both, error = self._cov
        self._cov = (
            (time + step * (2 * both + step * error)) * grown,
            (both + step * error) * grown,
            error * grown,
        )
        self.seconds += step

    def learn(self, stamps: Float64) -> None:
        """Take in the next samples. One update for all: jitter within a burst is not independent."""
        late = float(self.residuals(stamps, 0).mean())
        self.advance(stamps.size)
        time, both, error = self._cov
        gain = (time / (time + _JITTER_S**2), both / (time + _JITTER_S**2))
        self._next += gain[0] * late
        self._error = min(max(self._error + gain[1] * late, _PERIOD_ERROR[0]), _PERIOD_ERROR[1])
        self._cov = (time - gain[0] * time, both - gain[0] * both, error - gain[1] * both)
        share = 1 - math.exp(-stamps.size * self._nominal_s / _TAU_S)
        self._jitter2 += share * (late**2 - self._jitter2)


class SegmentClock:
    """Cuts a stream into segments without gaps and tells each sample's time.

    Stamps that are off by more than GAP_S are held back, about half a second, until it is plain
    whether samples are missing, or the clock stepped back (a new segment), or whether they were only
    held up on the way. No sample is dropped or reordered.
    """

    def __init__(self, rate: float) -> None:
        """rate: nominal, Hz."""
        self._rate = rate
        self._fit: _Fit | None = None
        self._held: list[_Block] = []
        self._cut: tuple[int | None, int | None] | None = None
        self._segment = -1
        self._next_sample = 0
        self._rate_true: float | None = None
        self.backwards = 0
        """How often the stamps stepped back."""

    @property
    def rate_true(self) -> float | None:
        """Samples a second by the stamps, Hz; None until known."""
        return self._rate_true

    def feed(self, data: Float32, stamps: Float64, arrived: float, offset: float = 0.0) -> list[Stretch]:
        """data: (n_channels, n_samples); stamps: (n_samples,), seconds; arrived: monotonic, seconds.

        offset: what to add to the stamps to get this clock's, seconds.
        """
        raw, stamps = stamps, stamps + offset
        # Within the data too a jump may lie, as when the reader was late.
        period = self._fit.period if self._fit else 1 / self._rate
        jumps = np.flatnonzero(np.abs(np.diff(stamps) - period) > GAP_S) + 1
        if not jumps.size:
            return self._take(_Block(data, stamps, arrived, raw, offset)) if stamps.size else []
        out: list[Stretch] = []
        cut = (np.split(data, jumps, axis=1), np.split(stamps, jumps), np.split(raw, jumps))
        for part, times, given in zip(*cut, strict=True):
            if times.size:
                out += self._take(_Block(part, times, arrived, given, offset))
        return out

    def cut(
        self, lost: int | None = None, modulo: int | None = None, rate: float | None = None
    ) -> list[Stretch]:
        """A new segment starts with the next samples. Returns what was held back.

        lost: how many samples are missing before them, exactly, or up to multiples of `modulo` (then the
        stamps decide how many); None: the stamps decide. rate: the nominal rate from here on, Hz.
        """
        out = self.flush()
        self._rate = rate or self._rate
        if self._fit is not None:
            self._cut = (lost, modulo)
        return out

    def flush(self) -> list[Stretch]:
        """What was held back, where nothing more will come to decide by."""
        out: list[Stretch] = []
        while self._held:
            out += self._break()
        return out

    def _take(self, block: _Block) -> list[Stretch]:
        if self._fit is None:
            self._begin(block, lost=0)
            return [self._emit(block)]
        if self._cut is not None:
            self._begin(block, self._lost_at_cut(block, *self._cut))
            self._cut = None
            return [self._emit(block)]
        late = self._fit.residuals(block.stamps, sum(held.stamps.size for held in self._held))
        if late.min() <= GAP_S and late.max() >= -GAP_S:
            # In time again: what was held back had only been held up.
            out = [self._emit(held, trusted=False) for held in self._held]
            self._held = []
            return [*out, self._emit(block)]
        self._held.append(block)
        by_stamps = block.stamps[-1] - self._held[0].stamps[0]
        # Stamps that stand still would never decide; then the arrival does.
        by_arrival = block.arrived - self._held[0].arrived
        return self._break() if by_stamps >= _HOLD_S or by_arrival >= 2 * _HOLD_S else []

    def _break(self) -> list[Stretch]:
        """The held blocks are the first of a new segment."""
        assert self._fit is not None
        held, self._held = self._held, []
        late, ahead = [], 0
        for block in held:
            residuals = self._fit.residuals(block.stamps, ahead)
            late.append((float(residuals.min()), float(residuals.max())))
            ahead += block.stamps.size
        if late[0][1] < 0:
            self.backwards += 1
        # Each stamp is late by the gap and by its own jitter: the least late tells the gap best.
        gap = max(0.0, min(least for least, _ in late))
        self._begin(held[0], lost=round(gap / self._fit.period))
        out = [self._emit(held[0])]
        for block in held[1:]:  # there may be another jump among them
            out += self._take(block)
        return out

    def _lost_at_cut(self, block: _Block, lost: int | None, modulo: int | None) -> int:
        assert self._fit is not None
        by_stamps = max(0, round(float(self._fit.residuals(block.stamps, 0).min()) / self._fit.period))
        if lost is None:
            return by_stamps
        return lost + modulo * max(0, round((by_stamps - lost) / modulo)) if modulo else lost

    def _begin(self, block: _Block, lost: int) -> None:
        # A wrong nominal rate need not be learnt twice.
        error = self._fit.period_error if self._fit else 0.0
        self._fit = _Fit(float(block.stamps[0]), self._rate, error)
        self._segment += 1
        self._next_sample += lost

    def _emit(self, block: _Block, trusted: bool = True) -> Stretch:
        assert self._fit is not None
        first, time = self._next_sample, self._fit.next
        if trusted:
            self._fit.learn(block.stamps)
        else:
            self._fit.advance(block.stamps.size)
        self._next_sample += block.stamps.size
        if self._fit.seconds >= _RATE_AFTER_S:
            self._rate_true = 1 / self._fit.period
        return Stretch(
            block.data, first, self._segment, time, self._fit.jitter, block.arrived, block.raw, block.offset
        )
