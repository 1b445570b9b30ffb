"""How much of a recording survives each compression: PRD, R and what is left of each band."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.signal import welch

from pipeline.records import Float64, Window
from pipeline.wavelet import METHODS, ApproximationMethod, EnergyMethod, Method

BAND_EDGES = {"delta": (2, 4), "theta": (4, 8), "alpha": (8, 16), "beta": (16, 31), "gamma": (31, 45)}
"""Hz; gamma ends where the band-pass does."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Of one method over a recording.

    prd: percentage root-mean-square difference, 100 * |x - x̂| / |x|; None where nothing can be restored.
    r: correlation of signal and restoration, or for energy methods of log code and log Welch band power
        over windows (mean over channels and bands).
    retained: share of each band's power in the restoration; for energy methods the correlation R of the band.
    """

    method: str
    codes_per_channel: int
    prd: float | None
    r: float
    retained: dict[str, float]


def report(windows: Iterable[Window], rate: float) -> list[Fidelity]:
    """One row a method, over the good channels of `windows` (at `rate`, Hz)."""
    data = [window.data[window.quality.good] for window in windows if window.quality.good.all()]
    if len(data) < 3:
        raise ValueError("fewer than 3 windows with all channels good: nothing to compare")
    return [_of(method, data, rate) for method in METHODS.values()]


def _of(method: Method, data: list[Float64], rate: float) -> Fidelity:
    if isinstance(method, EnergyMethod):
        return _energy(method, data, rate)
    return _approximation(method, data, rate)


def _approximation(method: ApproximationMethod, data: list[Float64], rate: float) -> Fidelity:
    restored = [method.restore(method.compress(x), x.shape[1]) for x in data]
    x, y = np.concatenate(data, axis=1), np.concatenate(restored, axis=1)
    before, after = _band_powers(x, rate), _band_powers(y, rate)
    return Fidelity(
        method=method.name,
        codes_per_channel=method.n_codes,
        prd=100 * float(np.linalg.norm(x - y) / np.linalg.norm(x)),
        r=float(np.corrcoef(x.ravel(), y.ravel())[0, 1]),
        retained={band: float(after[i].sum() / before[i].sum()) for i, band in enumerate(BAND_EDGES)},
    )


def _energy(method: EnergyMethod, data: list[Float64], rate: float) -> Fidelity:
    codes = np.stack([method.compress(x).mean(axis=2) for x in data])  # (n_windows, n_channels, n_bands)
    power = np.log(np.stack([_band_powers(x, rate).T for x in data]))
    codes -= codes.mean(axis=0)
    power -= power.mean(axis=0)
    norm = np.sqrt((codes**2).sum(axis=0) * (power**2).sum(axis=0))
    r = (codes * power).sum(axis=0) / np.maximum(norm, 1e-12)  # (n_channels, n_bands)
    retained = {band: float(r[:, i].mean()) for i, band in enumerate(BAND_EDGES)}
    return Fidelity(
        method=method.name, codes_per_channel=method.n_codes, prd=None, r=float(r.mean()), retained=retained
    )


def _band_powers(x: Float64, rate: float) -> Float64:
    """(n_bands, n_channels), µV²."""
    frequency, density = welch(x, fs=rate, nperseg=min(x.shape[1], round(2 * rate)), axis=1)
    rows = [density[:, (frequency >= lo) & (frequency < hi)].sum(axis=1) for lo, hi in BAND_EDGES.values()]
    return np.stack(rows) * float(frequency[1])
