"""The law of the signal chain: how a stream is cut into chunks changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from pipeline.chain import Chain
from pipeline.held import Held
from pipeline.records import Chunk, Window
from pipeline.resample import Resampler
from pipeline.sanitise import LIMIT_UV, Sanitiser
from pipeline.settings import PipelineSettings

ELECTRODES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
SETTINGS = PipelineSettings(montage=ELECTRODES, window=2.0, hop=0.5, warmup=1.0)
RATES = (125.0, 200.0, 250.0, 256.0, 500.0, 512.0, 1000.0)


def eeg(rate: float, seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with an EEG-like slope and an offset as amplifiers have, float32 µV."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((len(ELECTRODES), round(rate * seconds)))
    brown = np.cumsum(white, axis=1)
    return (brown - brown.mean() + 8 * white + 4000).astype(np.float32)


def cut(data: np.ndarray, rate: float, sizes: list[int], segment: int = 0, first: int = 0) -> list[Chunk]:
    """The samples as chunks of the given sizes, over and over."""
    chunks, at, turn = [], 0, 0
    while at < data.shape[1]:
        part = data[:, at : at + sizes[turn % len(sizes)]]
        chunks.append(Chunk(part, first + at, (first + at) / rate, 0.0, 0.0, ELECTRODES, rate, segment))
        at += part.shape[1]
        turn += 1
    return chunks


def windows(chain: Chain, chunks: list[Chunk]) -> list[Window]:
    return [window for chunk in chunks for window in chain.feed(chunk)]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=12),
    rate=st.sampled_from(RATES),
    bad=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2000)), max_size=20),
)
def test_any_cutting_gives_the_same_windows(
    sizes: list[int], rate: float, bad: list[tuple[int, int]]
) -> None:
    data = eeg(rate, 6.0)
    for row, column in bad:
        if column < data.shape[1]:
            data[row, column] = (np.nan, np.inf, -np.inf, 1e9)[column % 4]
    whole = windows(Chain(SETTINGS, ELECTRODES, rate), cut(data, rate, [data.shape[1]]))
    parts = windows(Chain(SETTINGS, ELECTRODES, rate), cut(data, rate, sizes))
    assert len(whole) >= 5
    assert len(whole) == len(parts)
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.data, other.data)
        assert one.quality.reasons == other.quality.reasons
        assert (one.span.start_s, one.span.end_s) == (other.span.start_s, other.span.end_s)
        assert one.span.end == pytest.approx(other.span.end, abs=1e-6)


@pytest.mark.parametrize("rate", RATES)
def test_a_window_comes_with_its_last_sample(rate: float) -> None:
    """Samples wait for their block, windows never: each comes with the chunk that completes it."""
    data, resampler, made = eeg(rate, 5.0), Resampler(rate, SETTINGS.rate), 0
    chain, found = Chain(SETTINGS, ELECTRODES, rate), 0
    for chunk in cut(data, rate, [7]):
        made += resampler.feed(chunk.data.astype(np.float64)).shape[1]
        found += len(chain.feed(chunk))
        possible = made - round((SETTINGS.warmup + SETTINGS.window) * SETTINGS.rate)
        assert found == max(0, possible // round(SETTINGS.hop * SETTINGS.rate) + 1)
    assert found >= 4


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=20),
    st.integers(0, 40),
)
def test_held_samples_keep_their_numbers(steps: list[tuple[int, int]], room: int) -> None:
    held, everything = Held(2, room, np.float64), np.arange(1200.0).reshape(2, 600)
    first = end = 0
    for new, drop in steps:
        held.append(everything[:, end : end + new])
        end += new
        held.forget(first + drop)
        first = min(first + drop, end)
        assert held.end == end
        assert np.array_equal(held.between(first, end), everything[:, first:end])


def test_windows_lie_where_they_say() -> None:
    """A burst in the input is found at the same second of the windows."""
    rate = 500.0
    data = np.random.default_rng(0).standard_normal((len(ELECTRODES), 4000)).cumsum(axis=1)
    data = data.astype(np.float32)
    t = np.arange(data.shape[1]) / rate
    data[0] += 200 * np.exp(-(((t - 4.3) / 0.05) ** 2) / 2) * np.cos(2 * np.pi * 12 * (t - 4.3))
    found = [
        window.span.start_s + np.abs(window.data[0]).argmax() / 250
        for window in windows(Chain(SETTINGS, ELECTRODES, rate), cut(data, rate, [100]))
        if window.span.start_s < 4.0 and window.span.end_s > 4.6
    ]
    assert found
    # The causal filter delays 12 Hz by about 20 ms; the resampler's own delay is allowed for.
    assert all(abs(second - 4.3) < 0.06 for second in found)


def test_no_window_crosses_a_gap() -> None:
    rate = 250.0
    before, after = cut(eeg(rate, 5.0), rate, [50]), cut(eeg(rate, 5.0, 1), rate, [50], 1, round(rate * 10))
    found = windows(Chain(SETTINGS, ELECTRODES, rate), before + after)
    assert {window.span.segment for window in found} == {0, 1}
    for window in found:
        if window.span.segment == 0:
            assert window.span.end_s <= 5.0
        else:
            assert window.span.start_s >= 10.0 + SETTINGS.warmup


def test_a_segment_starts_afresh() -> None:
    rate = 500.0
    chain = Chain(SETTINGS, ELECTRODES, rate)
    windows(chain, cut(eeg(rate, 4.0, 3), rate, [77]))
    again = windows(chain, cut(eeg(rate, 4.0), rate, [64], segment=1))
    fresh = windows(Chain(SETTINGS, ELECTRODES, rate), cut(eeg(rate, 4.0), rate, [64]))
    assert all(np.array_equal(a.data, b.data) for a, b in zip(again, fresh, strict=True))


def test_a_bad_channel_is_told_and_kept_out_of_the_reference() -> None:
    rate = 250.0
    clean = eeg(rate, 5.0)
    noisy = clean.copy()
    noisy[2] += 3000 * np.random.default_rng(5).standard_normal(noisy.shape[1]).astype(np.float32)
    noisy[4] = 12.5
    noisy[5, 300:400] = np.nan
    window = windows(Chain(SETTINGS, ELECTRODES, rate), cut(noisy, rate, [125]))[0]
    assert "amplitude" in window.quality.reasons[2]
    assert window.quality.reasons[4] == "flat"
    assert "invalid" in window.quality.reasons[5]
    assert list(window.quality.good) == [True, True, False, True, False, False]
    assert window.quality.score == 0.5
    assert np.isfinite(window.data).all()
    good = window.data[window.quality.good]
    assert np.allclose(good.mean(axis=0), 0, atol=1e-9)


# Rates at which the delay is a whole number of output samples, so that points can be compared.
@pytest.mark.parametrize("rate", [125.0, 250.0, 256.0, 500.0, 512.0, 1000.0])
def test_resampler_agrees_with_scipy(rate: float) -> None:
    data = eeg(rate, 4.0).astype(np.float64) - 4000
    resampler = Resampler(rate, 250.0)
    ours = resampler.feed(data)
    if rate == 250.0:
        assert np.array_equal(ours, data)
        return
    theirs = resample_poly(data, resampler._up, resampler._down, axis=1)
    lag = round(-resampler.position(0) * 250 / rate)
    middle = slice(200, ours.shape[1] - 200)
    assert np.allclose(ours[:, middle], theirs[:, 200 - lag : ours.shape[1] - 200 - lag], atol=1e-6)


@given(st.lists(st.floats(width=32), min_size=1, max_size=60), st.integers(1, 59))
def test_sanitiser_holds_the_last_valid_value(values: list[float], at: int) -> None:
    data = np.array([values], dtype=np.float32)
    whole, invalid = Sanitiser(1).feed(data)
    sanitiser = Sanitiser(1)
    parts = [sanitiser.feed(data[:, :at])[0], sanitiser.feed(data[:, at:])[0]]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    assert np.abs(whole).max() <= LIMIT_UV
    assert np.array_equal(whole[~invalid], data[~invalid].astype(np.float64))
