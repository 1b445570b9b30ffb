"""Causal filtering of a stream: second-order sections whose state is carried from sample to sample."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from pipeline.records import Float64

# Width of the notch at -3 dB is mains / Q: 1.7 Hz at 50 Hz.
_NOTCH_Q = 30.0


def design(rate: float, highpass: float, lowpass: float, order: int, mains: float) -> Float64:
    """Sections of a Butterworth band-pass and a notch at the mains frequency, all in Hz."""
    sections = [butter(order, [highpass, lowpass], btype="bandpass", fs=rate, output="sos")]
    if 0 < mains < rate / 2:
        sections.append(tf2sos(*iirnotch(mains, _NOTCH_Q, fs=rate)))
    return np.vstack(sections)


class CausalFilter:
    """Applies sections with carried state.

    The state is seeded from the first sample alone: seeded from the first chunk's mean, results would
    depend on how the stream happened to be cut.
    """

    def __init__(self, sections: Float64) -> None:
        self._sections = sections
        self._state: Float64 | None = None

    def feed(self, data: Float64) -> Float64:
        """data: float64 (n_channels, n_samples). Returns the same shape."""
        if data.shape[1] == 0:
            return data
        if self._state is None:
            steady = sosfilt_zi(self._sections)  # (n_sections, 2)
            self._state = steady[:, None, :] * data[None, :, :1]
        out, self._state = sosfilt(self._sections, data, axis=1, zi=self._state)
        return out
