"""What the compressions keep, and that they keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fidelity import report
from pipeline.records import ChannelQuality, Span, Window
from pipeline.wavelet import BANDS, METHODS, ApproximationMethod, EnergyMethod

RATE = 250.0


def pink(n_channels: int, n_samples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((n_channels, n_samples)))
    frequency = np.maximum(np.fft.rfftfreq(n_samples, 1 / RATE), 0.5)
    return np.fft.irfft(spectrum / np.sqrt(frequency) * (frequency < 45), n_samples) * 30


@settings(max_examples=25, deadline=None)
@given(n_samples=st.sampled_from([500, 2500, 7500]), seed=st.integers(0, 999), n_channels=st.integers(1, 5))
@pytest.mark.parametrize("name", METHODS)
def test_shape_and_scale(name: str, n_samples: int, seed: int, n_channels: int) -> None:
    method = METHODS[name]
    data = pink(n_channels, n_samples, seed)
    features = method.compress(data)
    assert features.shape == (n_channels, len(method.rows), method.n_codes // len(method.rows))
    assert np.isfinite(features).all()
    louder = method.compress(3 * data)
    if isinstance(method, EnergyMethod):
        above = features > np.log(1e-4)  # the floor under the logarithm does not scale
        assert np.allclose((louder - features)[above], np.log(9))
    else:
        assert np.allclose(louder, 3 * features)


@settings(max_examples=25, deadline=None)
@given(n_samples=st.sampled_from([500, 2500, 7500]), seed=st.integers(0, 999))
@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if isinstance(m, ApproximationMethod)])
def test_restoring_loses_no_more_than_was_left_out(name: str, n_samples: int, seed: int) -> None:
    """The transform is orthonormal: what is lost is exactly the energy that the codes do not hold."""
    method = METHODS[name]
    assert isinstance(method, ApproximationMethod)
    data = pink(2, n_samples, seed)
    features = method.compress(data)
    restored = method.restore(features, n_samples)
    lost = ((data - restored) ** 2).sum()
    step = n_samples / method.n_codes  # samples that one code stands for
    kept = (features**2).sum() * step
    total = (data**2).sum()
    # Resampling to the transform's length and back is not exact at the edges.
    assert lost == pytest.approx(total - kept, abs=0.04 * total)
    assert lost <= 1.02 * total


def test_codes_are_a_projection() -> None:
    """Compressing what was restored gives the same codes."""
    method = METHODS["w500x10-approx"]
    assert isinstance(method, ApproximationMethod)
    features = method.compress(pink(3, 2500, 1))
    again = method.compress(method.restore(features, 2500))
    assert np.abs(again - features).max() < 0.15 * np.abs(features).max()


@pytest.mark.parametrize(
    ("band", "hz"), [("delta", 2.8), ("theta", 5.6), ("alpha", 11), ("beta", 22), ("gamma", 40)]
)
def test_each_band_answers_to_its_frequency(band: str, hz: float) -> None:
    tone = 20 * np.sin(2 * np.pi * hz * np.arange(2500) / RATE)[None]
    for method in METHODS.values():
        if isinstance(method, EnergyMethod):
            energies = method.compress(tone)[0].mean(axis=1)
            assert list(BANDS)[int(energies.argmax())] == band
            # Most of a tone's variance, 200 µV², is found in its own band.
            assert np.exp(energies.max()) > 0.5 * 200


def test_segments_follow_time() -> None:
    data = np.zeros((1, 2500))
    data[0, 1000:1250] = 30 * np.sin(2 * np.pi * 10 * np.arange(250) / RATE)
    alpha = METHODS["w50-energy"].compress(data)[0, list(BANDS).index("alpha")]
    assert int(alpha.argmax()) == 4


def test_fidelity_report() -> None:
    good = ChannelQuality(np.ones(3, dtype=bool), ("",) * 3, 1.0)
    span = Span(0, 0, 0.0, 10.0, 0.0, 10.0, 0.0, 0.0)
    # Loudness differs between windows, as it does in people; a code must follow it.
    gains = np.random.default_rng(2).uniform(0.5, 2, 12)
    data = [Window(gain * pink(3, 2500, i), ("C3", "Cz", "C4"), good, span) for i, gain in enumerate(gains)]
    rows = {row.method: row for row in report(data, RATE)}
    assert set(rows) == set(METHODS)
    assert rows["w50-approx"].prd is not None and rows["w500x10-approx"].prd is not None
    assert rows["w500x10-approx"].prd < rows["w50-approx"].prd <= 100
    assert rows["w50-energy"].r > 0.8
    assert rows["w500x10-approx"].retained["delta"] > 0.9
    assert rows["w50-approx"].retained["alpha"] < 0.05
    with pytest.raises(ValueError, match="fewer than 3 windows"):
        report(data[:2], RATE)
