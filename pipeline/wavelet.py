"""Wavelet compression of a window: each method named, versioned and in one table.

The paper (arXiv 2410.00166, section III and Figure 8) fixes only the lengths: W gives 50 points a channel,
W→S gives 500 points cut into 10 segments. Taken literally they keep the slow waves and little else; the
energy methods keep what spectra are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pywt
from scipy.signal import resample_poly

from pipeline.records import Float64

WAVELET = "db4"
# At 250 Hz the detail levels are the classical bands: level 6 is 2–4 Hz, 5 is 4–8, 4 is 8–16, 3 is 16–31
# and 2 is 31–62 Hz.
BANDS: dict[str, int] = {"delta": 6, "theta": 5, "alpha": 4, "beta": 3, "gamma": 2}
# Energies below this (µV²) are numerical dust; the floor keeps the logarithm finite.
ENERGY_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class EnergyMethod:
    """Natural logarithm of the mean squared detail coefficient, in each band and stretch of time.

    Coefficients are scaled so that a band's energy averages to its variance.
    Features: float64 (n_channels, n_bands, n_segments), log µV².
    """

    name: str
    version: int
    n_segments: int
    prior_spread: ClassVar[float | None] = 0.25
    """Nepers between windows of 10 s at rest: median over bands of 23 people is 0.12 to 0.26."""

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(BANDS)

    @property
    def n_codes(self) -> int:
        return len(BANDS) * self.n_segments

    def compress(self, data: Float64) -> Float64:
        """data: (n_channels, n_samples) at 250 Hz, µV, at least 64 samples."""
        details = pywt.wavedec(data, WAVELET, mode="symmetric", level=max(BANDS.values()), axis=-1)
        out = np.empty((len(data), len(BANDS), self.n_segments))
        for row, level in enumerate(BANDS.values()):
            # An orthonormal transform puts 2**level samples' energy into one coefficient.
            energy = details[-level] ** 2 / 2**level
            n = energy.shape[1]
            for segment in range(self.n_segments):
                lo = segment * n // self.n_segments
                hi = max((segment + 1) * n // self.n_segments, lo + 1)
                out[:, row, segment] = energy[:, lo:hi].mean(axis=1)
        return np.log(np.maximum(out, ENERGY_FLOOR))


@dataclass(frozen=True, slots=True)
class ApproximationMethod:
    """The approximation coefficients of a window brought to a fixed number of points, as in the paper.

    The window is first resampled to n_codes * 2**level samples, so that the transform ends in exactly
    n_codes coefficients, in µV. Features: float64 (n_channels, n_segments, n_codes / n_segments).
    """

    name: str
    version: int
    n_codes: int
    n_segments: int
    prior_spread: ClassVar[float | None] = None
    """Points differ within one window already, so the sample's spread can be trusted."""

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(f"part{i + 1}" for i in range(self.n_segments))

    def _ratio(self, n_samples: int) -> tuple[Fraction, int]:
        level = max(0, int(np.ceil(np.log2(n_samples / self.n_codes))))
        return Fraction(self.n_codes * 2**level, n_samples), level

    def compress(self, data: Float64) -> Float64:
        """data: (n_channels, n_samples), µV."""
        ratio, level = self._ratio(data.shape[1])
        fitted = resample_poly(data, ratio.numerator, ratio.denominator, axis=1, padtype="line")
        approximation = pywt.wavedec(fitted, WAVELET, mode="periodization", level=level, axis=-1)[0]
        scaled = approximation / 2 ** (level / 2)
        return np.asarray(scaled, dtype=np.float64).reshape(len(data), self.n_segments, -1)

    def restore(self, features: Float64, n_samples: int) -> Float64:
        """The signal that the coefficients still describe: (n_channels, n_samples), µV."""
        ratio, level = self._ratio(n_samples)
        coefficients: list[Float64 | None] = [features.reshape(len(features), -1) * 2 ** (level / 2)]
        fitted = pywt.waverec(coefficients + [None] * level, WAVELET, mode="periodization", axis=-1)
        back = resample_poly(fitted, ratio.denominator, ratio.numerator, axis=1, padtype="line")
        return np.asarray(back[:, :n_samples], dtype=np.float64)


Method = EnergyMethod | ApproximationMethod

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        EnergyMethod("w5-energy", 1, n_segments=1),
        EnergyMethod("w50-energy", 1, n_segments=10),
        ApproximationMethod("w50-approx", 1, n_codes=50, n_segments=1),
        ApproximationMethod("w500x10-approx", 1, n_codes=500, n_segments=10),
    )
}


def versioned(method: Method) -> str:
    return f"{method.name}/{method.version}"
