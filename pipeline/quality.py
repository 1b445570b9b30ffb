"""Cheap flags for channels that cannot be trusted in a window.

The limits are those of common artefact rejection for scalp EEG after a 1–45 Hz band-pass; each is far
outside what cortex can do, so that a flag means a bad contact or movement, not an unusual brain.
"""

from __future__ import annotations

import numpy as np

from pipeline.records import Bool, ChannelQuality, Float64

# Peak to peak in µV. A strong blink reaches 300 at Fp1; electrodes that move reach thousands.
PEAK_TO_PEAK_UV = 500.0
# Standard deviation in µV below which a channel carries no brain: amplifier noise alone is above 0.2.
FLAT_UV = 0.15
# Step between neighbouring samples at 250 Hz, µV: faster than any 45 Hz component of that size.
STEP_UV = 150.0
# Share of the variance in the first difference, 2 for white noise, 1.1 for a pure 43 Hz tone, below 0.3
# for EEG: loose contacts and clenched teeth.
ROUGHNESS = 0.9
# Log-amplitude against the other channels, in robust standard deviations.
OUTLIER_Z = 6.0
# Robust spread of log-amplitude over a healthy montage is never below this (in nepers).
OUTLIER_FLOOR = 0.2
# Share of samples in the window that were no measurement.
INVALID_SHARE = 0.01
# Channels measured together: what is computed on the way stays in the cache and in memory that is at hand.
_AT_ONCE = 8


def judge(data: Float64, invalid_share: Float64) -> ChannelQuality:
    """Flags each channel of a filtered window.

    data: (n_channels, n_samples), µV, before re-referencing; invalid_share: (n_channels,), 0..1.
    """
    variance, reach, steepest, change = _measures(data)
    spread = np.sqrt(variance)
    flags: dict[str, Bool] = {
        "invalid": invalid_share > INVALID_SHARE,
        "flat": spread < FLAT_UV,
        "amplitude": reach > PEAK_TO_PEAK_UV,
        "step": steepest > STEP_UV,
        "noisy": change / np.maximum(variance, FLAT_UV**2) > ROUGHNESS,
    }
    suspect = np.any(list(flags.values()), axis=0)
    flags["outlier"] = _outliers(np.log(np.maximum(spread, FLAT_UV)), ~suspect)
    reasons = tuple(",".join(name for name, raised in flags.items() if raised[i]) for i in range(len(data)))
    good = np.array([not reason for reason in reasons])
    return ChannelQuality(good=good, reasons=reasons, score=float(good.mean()) if len(good) else 0.0)


def _measures(data: Float64) -> Float64:
    """Of each channel: variance, peak to peak, largest step, variance of the steps: (4, n_channels)."""
    found = np.empty((4, len(data)))
    for first in range(0, len(data), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        step = np.diff(data[some], axis=1)
        found[0, some] = data[some].var(axis=1)
        found[1, some] = np.ptp(data[some], axis=1)
        found[3, some] = step.var(axis=1)
        found[2, some] = np.abs(step, out=step).max(axis=1)
    return found


def _outliers(log_amplitude: Float64, healthy: Bool) -> Bool:
    # Three channels have no meaningful spread of their own.
    if healthy.sum() < 4:
        return np.zeros(len(log_amplitude), dtype=bool)
    centre = np.median(log_amplitude[healthy])
    # 1.4826 scales the median absolute deviation to a standard deviation under normality.
    scale = 1.4826 * np.median(np.abs(log_amplitude[healthy] - centre))
    return np.abs(log_amplitude - centre) / max(float(scale), OUTLIER_FLOOR) > OUTLIER_Z
