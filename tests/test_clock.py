"""Laws of the segment clock: nothing is lost or reordered, and a gap is found wherever the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sources.clock import GAP_S, SegmentClock, Stretch

RATES = st.sampled_from([125.0, 200.0, 250.0, 256.0, 500.0, 1000.0])


def run(stamps: np.ndarray, rate: float, sizes: list[int]) -> tuple[SegmentClock, list[Stretch]]:
    """Feed numbered samples in chunks of the given sizes, over and over; arrival follows the stamps."""
    clock, out, at, i = SegmentClock(rate), [], 0, 0
    arrived = 0.0
    numbers = np.arange(stamps.size, dtype=np.float32)[None]
    while at < stamps.size:
        n = sizes[i % len(sizes)]
        arrived += n / rate
        out += clock.feed(numbers[:, at : at + n], stamps[at : at + n], arrived)
        at, i = at + n, i + 1
    return clock, out + clock.flush()


def chunk_sizes(longest: int = 60) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, longest), min_size=1, max_size=8)


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(st.floats(-10, 10), min_size=1, max_size=60),
    sizes=chunk_sizes(),
    repeat=st.integers(1, 40),
)
def test_whatever_the_stamps_no_sample_is_lost_or_reordered(steps, sizes, repeat):
    _, out = run(np.cumsum(np.repeat(steps, repeat)), 250.0, sizes)
    numbers = np.concatenate([s.data[0] for s in out])
    assert np.array_equal(numbers, np.arange(len(steps) * repeat))
    assert all(a.segment <= b.segment <= a.segment + 1 for a, b in pairwise(out))
    for a, b in pairwise(out):
        contiguous = b.first_sample == a.first_sample + a.data.shape[1]
        assert contiguous if a.segment == b.segment else b.first_sample >= a.first_sample + a.data.shape[1]


@settings(deadline=None, max_examples=25)
@given(
    rate=RATES,
    lie=st.floats(-0.04, 0.04),
    jitter=st.floats(0, 0.04),
    sizes=chunk_sizes(),
    seed=st.integers(0, 99),
)
def test_jitter_and_a_lying_rate_are_no_gaps(rate, lie, jitter, sizes, seed):
    n = int(20 * rate)
    true = 1000 + np.arange(n) / (rate * (1 + lie))
    stamps = true + np.random.default_rng(seed).uniform(0, jitter, n)
    clock, out = run(stamps, rate, sizes)
    assert {s.segment for s in out} == {0}
    assert clock.backwards == 0
    assert clock.rate_true == pytest.approx(rate * (1 + lie), rel=0.004)
    late = [s for s in out if s.first_sample > n / 2]
    assert all(abs(s.time - true[s.first_sample] - jitter / 2) < 0.01 + jitter / 2 for s in late)


@settings(deadline=None, max_examples=25)
@given(
    rate=RATES,
    at_s=st.floats(2, 18),
    gap_s=st.floats(0.25, 600),
    jitter=st.floats(0, 0.04),
    lie=st.floats(-0.04, 0.04),
    sizes=chunk_sizes(),
)
def test_a_gap_is_found_where_it_is_and_its_samples_are_counted(rate, at_s, gap_s, jitter, lie, sizes):
    n, at = int(20 * rate), int(at_s * rate)
    stamps = np.arange(n) / (rate * (1 + lie)) + np.random.default_rng(1).uniform(0, jitter, n)
    stamps[at:] += gap_s
    clock, out = run(stamps, rate, sizes)
    assert {s.segment for s in out} == {0, 1}
    assert clock.backwards == 0
    after = next(s for s in out if s.segment == 1)
    assert int(after.data[0, 0]) == at
    lost = after.first_sample - at
    assert lost == pytest.approx(gap_s * rate * (1 + lie), rel=0.02, abs=0.06 * rate)


@settings(deadline=None, max_examples=25)
@given(rate=RATES, at_s=st.floats(2, 18), step_s=st.floats(0.25, 600), sizes=chunk_sizes())
def test_stamps_that_step_backwards_start_a_new_segment_and_lose_nothing(rate, at_s, step_s, sizes):
    n, at = int(20 * rate), int(at_s * rate)
    stamps = 1000 + np.arange(n) / rate
    stamps[at:] -= step_s
    clock, out = run(stamps, rate, sizes)
    assert clock.backwards == 1
    after = next(s for s in out if s.segment == 1)
    assert int(after.data[0, 0]) == after.first_sample == at


@settings(max_examples=25, deadline=None)
@given(held_up_s=st.floats(0.15, 3), at=st.integers(300, 1700), sizes=chunk_sizes(25))
def test_a_burst_that_was_held_up_is_no_gap(held_up_s, at, sizes):
    stamps = np.arange(2500) / 250.0
    # Stamped on arrival: all that waited gets the stamp of the moment the link came back.
    late = (stamps >= stamps[at]) & (stamps < stamps[at] + held_up_s)
    stamps[late] = stamps[at] + held_up_s
    clock = SegmentClock(250.0)
    out, i = [], 0
    while i < stamps.size:
        n = sizes[i % len(sizes)]
        # A burst takes no time to arrive.
        out += clock.feed(
            np.zeros((1, stamps[i : i + n].size), np.float32), stamps[i : i + n], stamps[i : i + n][-1]
        )
        i += n
    assert {s.segment for s in out + clock.flush()} == {0}


def test_held_samples_keep_the_time_of_their_arrival():
    clock = SegmentClock(250.0)
    block = np.zeros((1, 50), np.float32)
    clock.feed(block, np.arange(50) / 250, 1.0)
    assert clock.feed(block, np.arange(50, 100) / 250 + 3, 4.0) == []
    out = clock.flush()
    assert [s.arrived for s in out] == [4.0]
    assert out[0].first_sample == 50 + 750


def test_a_known_loss_is_counted_exactly_and_the_stamps_tell_how_often_the_counter_wrapped():
    for gap_s, lost in ((0.04, 10), (0.04 + 256 / 250, 266), (0.04 + 5 * 256 / 250, 1290)):
        clock = SegmentClock(250.0)
        block = np.zeros((1, 250), np.float32)
        clock.feed(block, np.arange(250) / 250, 1.0)
        clock.cut(lost=10, modulo=256)
        (after,) = clock.feed(block, np.arange(250, 500) / 250 + gap_s, 2.0)
        assert (after.segment, after.first_sample) == (1, 250 + lost)


def test_losses_below_the_jitter_are_no_gaps():
    stamps = np.arange(2500) / 250.0
    stamps[1000:] += GAP_S / 2
    _, out = run(stamps, 250.0, [10])
    assert {s.segment for s in out} == {0}
