"""The simulated headset: its signal in bands and places, its states, its pace."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from daemon.sources import make_source
from daemon.sources.settings import TEN_TWENTY, SimulatorSource
from daemon.sources.simulator import SimulatedHeadset
from pipeline.montage import ELECTRODES, canonical
from pipeline.positions import positions

RATE = 250.0
BANDS = {"theta": (4, 8), "alpha": (8, 13), "beta": (14, 22), "fast": (22, 40), "mains": (49, 51)}
FRONT, TEMPLES, BACK = ("F3", "Fz", "F4"), ("T7", "T8"), ("O1", "O2", "Pz")


def power(data, band, electrodes):
    """Mean power density, µV²/Hz."""
    rows = [TEN_TWENTY.index(name) for name in electrodes]
    frequencies, density = welch(data[rows], RATE, nperseg=500)
    low, high = BANDS[band]
    return density[:, (frequencies >= low) & (frequencies < high)].mean()


@pytest.fixture(scope="module")
def calm():
    return SimulatedHeadset(TEN_TWENTY, RATE, states="calm").next(30_000)


@pytest.fixture(scope="module")
def stress():
    return SimulatedHeadset(TEN_TWENTY, RATE, states="stress").next(30_000)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=20), seed=st.integers(0, 5))
def test_any_cutting_gives_the_same_samples(sizes, seed):
    cut = SimulatedHeadset(("Fp1", "O2"), RATE, seed)
    blocks = [cut.next(n) for n in sizes]
    assert cut.sample == sum(sizes)
    assert np.array_equal(
        np.concatenate(blocks, axis=1), SimulatedHeadset(("Fp1", "O2"), RATE, seed).next(sum(sizes))
    )


def test_seeds_differ():
    a, b = (SimulatedHeadset(("Cz",), RATE, seed).next(1000) for seed in (1, 2))
    assert not np.allclose(a, b)


def test_calm_looks_like_rest(calm):
    assert calm.dtype == np.float32 and np.isfinite(calm).all()
    assert 5 < np.median(calm.std(axis=1)) < 25
    assert power(calm, "alpha", BACK) > 2 * power(calm, "alpha", FRONT)
    assert power(calm, "alpha", BACK) > 1.3 * power(calm, "theta", BACK)
    # 1/f: each band above has less, but for alpha at the back.
    assert power(calm, "theta", FRONT) > 1.5 * power(calm, "beta", FRONT) > 3 * power(calm, "fast", FRONT)
    assert power(calm, "mains", BACK) > 1.5 * power(calm, "fast", BACK)
    # Blinks: large, and at the forehead only.
    assert calm[TEN_TWENTY.index("Fp1")].max() > 60
    assert calm[TEN_TWENTY.index("Fp1")].max() > 1.5 * np.abs(calm[TEN_TWENTY.index("O1")]).max()


def test_neighbours_are_alike_and_far_electrodes_are_not(calm):
    theta_free = np.diff(calm, axis=1)  # without blinks and slow drift
    likeness = np.corrcoef(theta_free)
    fz, f3, o1 = (TEN_TWENTY.index(name) for name in ("Fz", "F3", "O1"))
    assert likeness[fz, f3] > likeness[fz, o1] + 0.1
    assert (likeness - np.eye(19)).max() < 0.98


def test_alpha_waxes_and_wanes(calm):
    seconds = calm[TEN_TWENTY.index("O1")][: 100 * 250].reshape(100, 250)
    frequencies, density = welch(seconds, RATE, nperseg=250)
    alpha = density[:, (frequencies >= 8) & (frequencies <= 13)].mean(axis=1)
    assert np.percentile(alpha, 90) > 3 * np.percentile(alpha, 10)


def test_stress_is_told_from_calm(calm, stress):
    assert power(stress, "alpha", BACK) < 0.6 * power(calm, "alpha", BACK)
    assert power(stress, "theta", BACK) < 0.8 * power(calm, "theta", BACK)
    assert power(stress, "fast", TEMPLES) > 1.2 * power(calm, "fast", TEMPLES)


def test_states_alternate_calm_first_and_change_smoothly():
    headset = SimulatedHeadset(TEN_TWENTY, RATE, period_s=10)
    assert [headset.state_at(int(s * RATE)) for s in (0, 9.9, 10.1, 19.9, 20.1)] == [
        *("calm", "calm", "stress", "stress", "calm")
    ]
    data = headset.next(12 * int(10 * RATE))
    periods = data.reshape(19, 12, -1)[:, :, int(2 * RATE) :]
    alpha = [power(periods[:, i], "alpha", BACK) for i in range(12)]
    assert np.mean(alpha[::2]) > 1.5 * np.mean(alpha[1::2])
    steps = np.abs(np.diff(data, axis=1)).max(axis=0)
    changes = [int(10 * RATE * i) for i in range(1, 12)]
    assert max(steps[at - 2 : at + 2].max() for at in changes) <= np.percentile(steps, 99.9)


def test_any_electrode_has_its_place():
    scalp = [name for name in ELECTRODES if canonical(name)]
    at = dict(zip(scalp, positions(scalp).tolist(), strict=True))
    assert at["Cz"] == [0, 0]
    assert at["Fp1"][1] > at["F3"][1] > at["C3"][1] > at["P3"][1] > at["O1"][1]
    assert at["T7"][0] < at["C3"][0] < 0 < at["C4"][0] < at["T8"][0]
    assert len({tuple(place) for place in at.values()}) == len(scalp)
    with pytest.raises(ValueError, match="'X9' is not an electrode"):
        positions(["X9"])


@pytest.mark.parametrize("rate", [125.0, 160.0, 512.0, 1000.0])
def test_other_rates(rate):
    data = SimulatedHeadset(TEN_TWENTY, rate, states="calm").next(int(20 * rate))
    assert 5 < np.median(data.std(axis=1)) < 25


def test_the_source_keeps_time_and_goes_on_after_reopening():
    source = make_source(SimulatorSource(electrodes=("Cz", "Pz"), rate=500))
    info = source.open()
    assert (info.channels, info.rate) == (("Cz", "Pz"), 500)
    chunks, start = [], time.monotonic()
    while time.monotonic() < start + 0.5:
        chunk = source.read(0.1)
        if chunk is not None:
            chunks.append(chunk)
    source.close()
    assert sum(c.n_samples for c in chunks) == pytest.approx(250, abs=25)
    source.open()
    after = source.read(1.0)
    source.close()
    assert after.segment == 1
    assert after.first_sample == chunks[-1].first_sample + chunks[-1].n_samples
    whole = np.concatenate([c.data for c in [*chunks, after]], axis=1)
    assert np.array_equal(whole, SimulatedHeadset(("Cz", "Pz"), 500).next(whole.shape[1]))
