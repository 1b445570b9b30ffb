"""From chunks to windows: sanitise, resample, filter, judge, re-reference, cut.

The law of this file: any cutting of a stream into chunks gives the same windows, bit for bit. Every
stage therefore carries its state from the segment's first sample and decides nothing per chunk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline import montage
from pipeline.filters import CausalFilter, design
from pipeline.quality import judge
from pipeline.records import Bool, Chunk, Float32, Float64, Span, Window
from pipeline.resample import Resampler
from pipeline.sanitise import Sanitiser
from pipeline.settings import PipelineSettings


class Chain:
    """The signal chain of one stream. A new segment, after a gap, starts it afresh."""

    def __init__(
        self, settings: PipelineSettings, channels: Sequence[str], rate: float, mains: float = 50.0
    ) -> None:
        """channels: the stream's names; rate: its sampling rate, Hz; mains: 50 or 60 Hz, 0 for none.

        Raises MontageError where the channels cannot serve the model.
        """
        found = montage.match(channels, settings.montage, settings.min_channels)
        self._rows = [row for row, _ in found]
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
            self._segment = _Segment(self._settings, self.electrodes, self._rate, self._sections, chunk)
        return self._segment.feed(chunk, chunk.data[self._rows])


class _Segment:
    """Filters and memory of one stretch without gaps."""

    def __init__(
        self,
        settings: PipelineSettings,
        electrodes: tuple[str, ...],
        rate: float,
        sections: Float64,
        first: Chunk,
    ) -> None:
        self.number = first.segment
        self._before = first.first_sample  # samples of the stream before this segment, lost ones included
        self._electrodes = electrodes
        self._rate = rate
        self._sanitiser = Sanitiser(len(electrodes))
        self._resampler = Resampler(rate, settings.rate)
        self._filter = CausalFilter(sections)
        self._length = round(settings.window * settings.rate)
        self._hop = round(settings.hop * settings.rate)
        self._next = round(settings.warmup * settings.rate)  # where the next window begins
        self._index = 0
        # Filtered samples at the pipeline's rate, and where the stream held no measurement at its own
        # rate, each with the number in the segment of the first one still held.
        self._held: Float64 = np.empty((len(electrodes), 0))
        self._held_from = 0
        self._invalid: Bool = np.empty((len(electrodes), 0), dtype=np.bool_)
        self._invalid_from = 0

    def feed(self, chunk: Chunk, data: Float32) -> list[Window]:
        """data: the rows of `chunk` that are electrodes."""
        mended, invalid = self._sanitiser.feed(data)
        filtered = self._filter.feed(self._resampler.feed(mended))
        self._invalid = np.concatenate([self._invalid, invalid], axis=1)
        self._held = np.concatenate([self._held, filtered], axis=1)
        windows = []
        while self._held_from + self._held.shape[1] >= self._next + self._length:
            windows.append(self._cut(chunk))
            self._next += self._hop
            self._index += 1
        self._forget()
        return windows

    def _cut(self, chunk: Chunk) -> Window:
        at = self._next - self._held_from
        data = self._held[:, at : at + self._length].copy()
        # Where the window lies in the stream, in samples of the segment.
        begin, end = (self._resampler.position(self._next + n) for n in (0, self._length))
        lo, hi = max(round(begin), 0), round(end)
        invalid = self._invalid[:, lo - self._invalid_from : hi - self._invalid_from]
        quality = judge(data, invalid.mean(axis=1))
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

    def _forget(self) -> None:
        """Drops what no later window will look at."""
        drop = min(self._next - self._held_from, self._held.shape[1])
        if drop > 0:
            self._held = self._held[:, drop:].copy()
            self._held_from += drop
        begin = int(self._resampler.position(self._next)) - 1
        drop = min(begin - self._invalid_from, self._invalid.shape[1])
        if drop > 0:
            self._invalid = self._invalid[:, drop:].copy()
            self._invalid_from += drop
