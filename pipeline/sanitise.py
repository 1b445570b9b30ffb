"""Samples that are no measurement are replaced before any filter can remember them."""

from __future__ import annotations

import numpy as np

from pipeline.records import Bool, Float32, Float64

# No amplifier for scalp EEG reads more than its rails, at most some hundred mV; beyond this a value is
# a transmission error. It would ring in the filters for seconds.
LIMIT_UV = 1e6


class Sanitiser:
    """Holds each channel's last valid value through NaN, infinite and impossible samples.

    The state is seeded from the first valid sample, else 0, so that any cutting into chunks agrees.
    """

    def __init__(self, n_channels: int) -> None:
        self._last = np.zeros(n_channels)

    def feed(self, data: Float32) -> tuple[Float64, Bool]:
        """data: (n_channels, n_samples), µV. Returns the mended samples and where they were mended."""
        invalid = ~(np.abs(data) <= LIMIT_UV)  # NaN compares false
        mended = data.astype(np.float64)
        if invalid.any():
            for row in np.flatnonzero(invalid.any(axis=1)):
                # Index of the newest valid sample at or before each position, -1 for none in this block.
                position = np.where(invalid[row], -1, np.arange(data.shape[1]))
                newest = np.maximum.accumulate(position)
                mended[row] = np.where(newest >= 0, mended[row, newest], self._last[row])
        if data.shape[1]:
            self._last = mended[:, -1].copy()
        return mended, invalid
