"""What the watch over stamps refuses, and what it lets pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sources.base import SourceRefused
from daemon.sources.stamps import StampWatch

RATE = 250.0


def run(stamps: np.ndarray, arrived: np.ndarray, chunk: int = 10) -> None:
    watch = StampWatch(RATE)
    for at in range(0, stamps.size, chunk):
        watch.feed(stamps[at : at + chunk], float(arrived[at : at + chunk][-1]))


@settings(deadline=None, max_examples=50)
@given(
    lie=st.floats(0.2, 5.0),
    jump_at=st.integers(0, 5000),
    jump_s=st.floats(-4e4, 4e4),
    chunk=st.sampled_from([1, 4, 10, 32, 256, 1024]),
    jitter_s=st.floats(0, 0.05),
)
def test_wrong_rates_jitter_and_clocks_that_are_set_pass(lie, jump_at, jump_s, chunk, jitter_s):
    arrived = 1e5 + np.arange(5000) / RATE * lie
    stamps = arrived + np.random.default_rng(1).uniform(0, jitter_s, arrived.size)
    stamps[jump_at:] += jump_s
    run(stamps, arrived, chunk)


def test_what_was_held_up_and_stamped_on_arrival_passes():
    arrived = 1e5 + np.arange(10_000) / RATE
    arrived[1000:6000] = arrived[6000]  # for 20 s
    run(arrived, arrived)


@pytest.mark.parametrize("chunk", [1, 10, 128])
@pytest.mark.parametrize(("pace", "why"), [(1000.0, "run on"), (20.0, "run on"), (0.0, "stand still")])
def test_another_unit_and_stamps_that_stand_still_are_refused(pace, why, chunk):
    seconds = np.arange(5000) / RATE
    with pytest.raises(SourceRefused, match=why):
        run(1e5 + pace * seconds, 1e5 + seconds, chunk)


@pytest.mark.parametrize(("off_s", "side"), [(2e5, "after"), (-2e5, "before"), (1e300, "after")])
def test_one_stamp_that_is_days_off_is_refused(off_s, side):
    arrived = 1e5 + np.arange(100) / RATE
    stamps = arrived.copy()
    stamps[55] += off_s
    with pytest.raises(SourceRefused, match=f"more than a day {side} now"):
        run(stamps, arrived)
