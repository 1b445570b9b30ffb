"""What baselines need beyond the codes: the same windows, from the same chain, as signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pyriemann.geometry.covariance import covariances
from scipy.signal import decimate, welch

from pipeline.chain import Chain
from pipeline.records import Bool, Float64, Window
from pipeline.settings import PipelineSettings
from pipeline.wavelet import METHODS
from training import arrays
from training.corpus import CorpusError, Example, Sitting, play_sitting

# Hz, as in the codes, so that baselines on band powers see the same bands.
BANDS = {"delta": (2, 4), "theta": (4, 8), "alpha": (8, 16), "beta": (16, 31), "gamma": (31, 45)}
# Half of the pipeline's 250 Hz keeps all that its 45 Hz low-pass lets through.
_DECIMATE = 2
_POWER_FLOOR = 1e-6
# µV; half-precision numbers end at 65504, and nothing of this size is EEG.
_CLIP = 2000.0


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Windows of one sitting, in order, those of the calibration among them; channels in the montage's order.

    sitting, subject: text (), its name and whose it is. channels: text (n_channels,), canonical names.
    start_ms: int64 (n,), where each window begins in the stream, ms. rest: (n,), whether it calibrates.
    good: (n, n_channels). features: (n, n_channels, rows, columns), of the recipe's compression.
    bands: (n, n_channels, 5), natural logarithm of band power, µV² (Welch, 2-s segments).
    covariance: (n, n_channels, n_channels), µV², oracle-approximating shrinkage (Chen et al., 2010).
    waves: float16 (n, n_channels, n_samples) at half the pipeline's rate, µV.
    """

    sitting: npt.NDArray[np.str_]
    subject: npt.NDArray[np.str_]
    channels: npt.NDArray[np.str_]
    start_ms: npt.NDArray[np.int64]
    rest: Bool
    good: Bool
    features: Float64
    bands: Float64
    covariance: Float64
    waves: npt.NDArray[np.float16]


def make_signals(sitting: Sitting, settings: PipelineSettings, path: Path, fingerprint: str) -> None:
    """Plays a sitting once more and keeps what the baselines need; what is there and of this corpus stays."""
    if arrays.fingerprint_of(path, Signals) == fingerprint:
        return
    compress = METHODS[settings.compression].compress
    windows: list[Window] = []
    chain = None
    for moment in play_sitting(sitting):
        if chain is None:
            chain = Chain(settings, moment.chunk.channels, moment.chunk.rate, sitting.mains)
        windows += chain.feed(moment.chunk)
    if not windows:
        raise CorpusError(f"{sitting.name}: not one window of {settings.window:g} s in it")
    data = np.stack([window.data for window in windows])
    frequency, power = welch(data, settings.rate, nperseg=round(2 * settings.rate), axis=-1)
    bands = [power[..., (frequency >= lo) & (frequency < hi)].mean(axis=-1) for lo, hi in BANDS.values()]
    kept = Signals(
        sitting=np.array(sitting.name),
        subject=np.array(sitting.subject),
        channels=np.array(windows[0].channels),
        start_ms=np.array([milliseconds(window.span.start_s) for window in windows]),
        rest=np.array([window.span.end_s <= settings.calibration for window in windows]),
        good=np.stack([window.quality.good for window in windows]),
        features=np.stack([compress(window.data) for window in windows]),
        bands=np.log(np.maximum(np.stack(bands, axis=-1), _POWER_FLOOR)),
        covariance=covariances(data, estimator="oas"),
        waves=np.clip(decimate(data, _DECIMATE, axis=-1), -_CLIP, _CLIP).astype(np.float16),
    )
    arrays.keep(path, kept, fingerprint)


def load_signals(path: Path) -> Signals:
    return arrays.load(path, Signals)


def aligned(found: Sequence[Signals]) -> dict[str, Signals]:
    """By name of the sitting, cut to the electrodes that all sittings have."""
    common = [name for name in found[0].channels if all(name in one.channels for one in found)]
    out = {}
    for one in found:
        keep = [list(one.channels).index(name) for name in common]
        out[str(one.sitting)] = replace(
            one,
            channels=np.array(common),
            good=one.good[:, keep],
            features=one.features[:, keep],
            bands=one.bands[:, keep],
            covariance=one.covariance[:, keep][:, :, keep],
            waves=one.waves[:, keep],
        )
    return out


def rows_of(signals: Signals, examples: Sequence[Example]) -> list[int]:
    """Where each example of this sitting stands in its signals; -1 for one cut at a shifted time."""
    at = {int(start): row for row, start in enumerate(signals.start_ms)}
    return [-1 if e.shifted else at.get(milliseconds(e.window.span.start_s), -1) for e in examples]


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
