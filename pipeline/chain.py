"""From chunks to windows: sanitise, resample, filter, judge, re-reference, cut.

The law of this file: any cutting of a stream into chunks gives the same windows, bit for bit. Every
stage therefore carries its state from the segment's first sample and decides nothing per chunk.
So samples may wait: they go through the stages in blocks, longer than a headset's chunks, and at the latest
when they complete a window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline import montage
from pipeline.filters import CausalFilter, design
from pipeline.held import Held
from pipeline.quality import judge
from pipeline.records import Chunk, Float32, Float64, Span, Window
from pipeline.resample import Resampler
from pipeline.sanitise import Sanitiser
from pipeline.settings import PipelineSettings

# Samples that go through the stages at once, seconds. The calls of a chunk of 40 ms cost more than their
# arithmetic; a block of this length leaves well under a millisecond of work for the end of a window.
_BLOCK_S = 0.5


class Chain:
    """The signal chain of one stream. A new segment, after a gap, starts it afresh."""

    def __init__(
        self, settings: PipelineSettings, channels: Sequence[str], rate: float, mains: float = 50.0
    ) -> None:
        """channels: the stream's names; rate: its sampling rate, Hz; mains: 50 or 60 Hz, 0 for none.

        Raises MontageError where the channels cannot serve the model.
        """
        found = montage.match(channels, settings.montage, settings.min_channels)
        self._rows = np.array([row for row, _ in found], np.intp)
        self.electrodes = tuple(name for _, name in found)
        self._settings = settings
        self._rate = rate
        self._sections = design(
            settings.rate, settings.highpass, settings.lowpass, settings.filter_order, mains
        )
        self._segment: _Segment | None = None

    def feed(self, chunk: Chunk) -> list[Window]:
        """Returns the windows that this chunk completes, oldest first."""
        if chunk.n_samples == 0:
            return []
        if self._segment is None or self._segment.number != chunk.segment:
            self._segment = _Segment(
                self._settings, self._rows, self.electrodes, self._rate, self._sections, chunk
            )
        return self._segment.feed(chunk)


class _Segment:
    """Filters and memory of one stretch without gaps."""

    def __init__(
        self,
        settings: PipelineSettings,
        rows: npt.NDArray[np.intp],
        electrodes: tuple[str, ...],
        rate: float,
        sections: Float64,
        first: Chunk,
    ) -> None:
        """rows: of a chunk's channels, one an electrode."""
        self.number = first.segment
        self._before = first.first_sample  # samples of the stream before this segment, lost ones included
        self._rows = rows
        self._electrodes = electrodes
        self._rate = rate
        self._sanitiser = Sanitiser(len(electrodes))
        self._resampler = Resampler(rate, settings.rate)
        self._filter = CausalFilter(sections)
        self._length = round(settings.window * settings.rate)
        self._hop = round(settings.hop * settings.rate)
        self._next = round(settings.warmup * settings.rate)  # where the next window begins
        self._index = 0
        n, seconds = len(electrodes), settings.window + max(settings.hop, _BLOCK_S)
        # Samples as they came that wait for their block, and how many of the segment's went through already.
        self._waiting: Float32 = np.empty((n, max(1, round(_BLOCK_S * rate))), np.float32)
        self._wait = self._done = 0
        self._block = self._next_block()
        # Filtered samples at the pipeline's rate, and where the stream held no measurement at its own rate.
        self._filtered = Held(n, round(seconds * settings.rate), np.float64)
        self._invalid = Held(n, round(seconds * rate), np.bool_)

    def feed(self, chunk: Chunk) -> list[Window]:
        windows, at, n = [], 0, chunk.n_samples
        while at < n:
            begin, end = self._wait, min(self._wait + n - at, self._block)
            self._waiting[:, begin:end] = chunk.data[:, at : at + end - begin].take(self._rows, axis=0)
            at += end - begin
            self._wait = end
            if end == self._block:
                windows += self._work(chunk)
        return windows

    def _next_block(self) -> int:
        """How many samples may wait before the stages have to run."""
        due = self._resampler.needed(self._next + self._length) - self._done
        return min(due, int(self._waiting.shape[1]))

    def _work(self, chunk: Chunk) -> list[Window]:
        """All stages for what waits. chunk: which it ends in."""
        mended, invalid = self._sanitiser.feed(self._waiting[:, : self._wait])
        self._done += self._wait
        self._wait = 0
        self._invalid.append(invalid)
        self._filtered.append(self._filter.feed(self._resampler.feed(mended)))
        windows = []
        while self._filtered.end >= self._next + self._length:
            windows.append(self._cut(chunk))
            self._next += self._hop
            self._index += 1
        # What no later window will look at.
        self._filtered.forget(self._next)
        self._invalid.forget(int(self._resampler.position(self._next)) - 1)
        self._block = self._next_block()
        return windows

    def _cut(self, chunk: Chunk) -> Window:
        data = self._filtered.between(self._next, self._next + self._length).copy()
        # Where the window lies in the stream, in samples of the segment.
        begin, end = (self._resampler.position(self._next + n) for n in (0, self._length))
        lo, hi = max(round(begin), 0), round(end)
        quality = judge(data, self._invalid.between(lo, hi).mean(axis=1))
        if quality.good.any():
            data -= data[quality.good].mean(axis=0)
        duration = (end - begin) / self._rate
        end_utc = chunk.time + (self._before + end - chunk.first_sample) / self._rate
        span = Span(
            index=self._index,
            segment=self.number,
            start_s=(self._before + begin) / self._rate,
            end_s=(self._before + end) / self._rate,
            start=end_utc - duration,
            end=end_utc,
            time_uncertainty=chunk.time_uncertainty,
            arrived=chunk.arrived,
        )
        return Window(data=data, channels=self._electrodes, quality=quality, span=span)
