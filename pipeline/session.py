"""One person's sitting on one stream: chain, calibration and compression, up to the reader's door."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.calibration import Calibration, quantise
from pipeline.chain import Chain
from pipeline.records import Calibrating, Chunk, CompressedWindow, Reading, Unreadable, Window
from pipeline.settings import PipelineSettings
from pipeline.wavelet import METHODS, versioned

Step = CompressedWindow | Calibrating | Unreadable


class Session:
    """Turns chunks into windows for the reader. The live daemon, `label` and training all use this one.

    The first `calibration` seconds of the sitting are the person's rest; no window that ends in them is read.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        channels: Sequence[str],
        rate: float,
        *,
        mains: float = 50.0,
        calibration: float | None = None,
    ) -> None:
        """rate, mains: Hz; calibration: seconds, else the bundle's.

        Raises MontageError where the channels cannot serve the model.
        """
        self._settings = settings
        self._method = METHODS[settings.compression]
        self._chain = Chain(settings, channels, rate, mains)
        self._wanted = settings.calibration if calibration is None else calibration
        self.electrodes = self._chain.electrodes
        self.calibrate()

    @property
    def calibrated(self) -> bool:
        return self._calibrated

    def calibrate(self) -> None:
        """Begins the calibration anew, with the windows that start from now on."""
        self._calibration = Calibration(self._method.prior_spread)
        self._calibrated = False
        self._begun: float | None = None  # stream seconds at which this calibration began

    def feed(self, chunk: Chunk) -> list[Step]:
        """The steps that this chunk completes, oldest first."""
        windows = self._chain.feed(chunk)
        if self._begun is None:
            self._begun = chunk.first_sample / chunk.rate
        return [self._step(window, self._begun) for window in windows]

    def _step(self, window: Window, begun: float) -> Step:
        span, quality = window.span, window.quality
        features = self._method.compress(window.data)
        if not self._calibrated:
            elapsed = span.end_s - begun
            if elapsed <= self._wanted or not self._calibration.finish():
                # A window that began before the calibration did may show another state.
                if span.start_s >= begun:
                    self._calibration.add(features, quality.good)
                return Calibrating(span, quality, seconds=max(elapsed, 0.0), of=self._wanted)
            self._calibrated = True
        n_good = int(quality.good.sum())
        if n_good < self._settings.min_channels:
            reason = f"{n_good} good channels, {self._settings.min_channels} needed"
            return Unreadable(span, quality, reason)
        codes = quantise(self._calibration.deviations(features))[quality.good]
        return CompressedWindow(
            codes=codes.reshape(n_good, -1),
            channels=tuple(name for name, ok in zip(window.channels, quality.good, strict=True) if ok),
            method=versioned(self._method),
            span=span,
            quality=quality,
        )


def abstention(window: Unreadable) -> Reading:
    """The reading of a window that cannot be read: it says nothing, and why."""
    return Reading(
        label=None,
        p={},
        p_smooth={},
        span=window.span,
        quality=window.quality.score,
        reason=window.reason,
        infer_s=0.0,
    )
