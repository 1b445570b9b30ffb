"""A person's own rest as the yardstick: without it, skulls and gains differ more than states do."""

from __future__ import annotations

import numpy as np

from pipeline.records import Bool, Float64, Int16

# Codes are integers 0..LEVELS-1; the middle is the person's rest, the ends are RANGE spreads away.
LEVELS = 32
RANGE = 4.0
# A code for "no deviation".
MIDDLE = LEVELS // 2
# The spread seen in a minute of rest is itself uncertain: it is shrunk to the method's prior as if that
# had been seen in this many windows. Found on held-out people, see docs/lab-notes.md.
PRIOR_WINDOWS = 8.0
# Keeps the division finite for a channel that never moved.
MIN_SPREAD = 1e-3


class Calibration:
    """Mean and spread of each channel's features over windows of rest.

    A channel that was bad throughout rest borrows the montage's median, so that it may be used later.
    """

    def __init__(self, prior_spread: float | None) -> None:
        """prior_spread: usual spread of a feature between windows of rest, None to trust the sample alone."""
        self._prior = prior_spread
        self._features: list[Float64] = []
        self._good: list[Bool] = []
        self._mean: Float64 | None = None
        self._spread: Float64 | None = None

    def add(self, features: Float64, good: Bool) -> None:
        """features: (n_channels, n_rows, n_columns); good: (n_channels,)."""
        # Of no weight in any sum; a headset that nobody wears sends such windows for days.
        if good.any():
            self._features.append(features)
            self._good.append(good)

    def finish(self) -> bool:
        """Closes the calibration; False, and it stays open, where there was too little usable rest."""
        if not self._features:
            return False
        stack = np.stack(self._features)  # (n_windows, n_channels, n_rows, n_columns)
        good = np.stack(self._good)  # (n_windows, n_channels)
        enough = good.any(axis=0)
        weight = good[:, :, None, None]
        count = np.maximum(good.sum(axis=0), 1)[:, None] * stack.shape[3]
        mean = (stack * weight).sum(axis=(0, 3)) / count
        square = ((stack - mean[None, :, :, None]) ** 2 * weight).sum(axis=(0, 3)) / count
        if self._prior is not None:
            windows = good.sum(axis=0)[:, None]
            square = (windows * square + PRIOR_WINDOWS * self._prior**2) / (windows + PRIOR_WINDOWS)
        spread = np.maximum(np.sqrt(square), MIN_SPREAD)
        mean[~enough] = np.median(mean[enough], axis=0)
        spread[~enough] = np.median(spread[enough], axis=0)
        self._mean, self._spread = mean, spread
        self._features, self._good = [], []
        return True

    def deviations(self, features: Float64) -> Float64:
        """Features in spreads from rest, same shape. Only after `finish` returned True."""
        if self._mean is None or self._spread is None:
            raise RuntimeError("calibration is not finished")
        return (features - self._mean[:, :, None]) / self._spread[:, :, None]


def quantise(deviations: Float64) -> Int16:
    """Deviations from rest as codes 0..LEVELS-1; beyond ±RANGE they saturate."""
    scaled = np.floor(deviations * (LEVELS / (2 * RANGE))) + MIDDLE
    codes: Int16 = np.clip(scaled, 0, LEVELS - 1).astype(np.int16)
    return codes
