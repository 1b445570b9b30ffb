"""What grows is told from what has settled, from peaks and from a process that has just begun."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.soak.growth import growth
from tests.soak.node import Vital


def life(
    hours: float, megabytes: Callable[[float], float], *, number: int = 0, begin: float = 0.0, files: int = 38
) -> list[Vital]:
    """A sample every two seconds; megabytes: by hours since the process began."""
    chance = np.random.default_rng(number)
    at = np.arange(0, 3600 * hours, 2.0)
    rss = [megabytes(second / 3600) + chance.normal(0, 0.2) for second in at]
    return [
        Vital(begin + second, number, mb, mb - 80, files + int(chance.integers(-1, 2)), 16)
        for second, mb in zip(at, rss, strict=True)
    ]


@pytest.mark.parametrize(
    ("megabytes", "slope"),
    [
        pytest.param(lambda h: 200, 0, id="constant"),
        pytest.param(lambda h: 200 + 5 * h, 5, id="leak"),
        pytest.param(lambda h: 200 - 2 * h, -2, id="gives back"),
        pytest.param(lambda h: 200 + 20 * min(h, 0.2), 0, id="warm-up, then nothing"),
        pytest.param(lambda h: 200 + 30 * (h % 0.1 < 0.01), 0, id="a peak every six minutes"),
        pytest.param(lambda h: 200 + 30 * (h > 0.97), 0, id="a peak at the end"),
        pytest.param(lambda h: 200 + 1.5 * h + 30 * (h % 0.1 < 0.01), 1.5, id="leak and peaks"),
    ],
)
def test_the_slope(megabytes: Callable[[float], float], slope: float) -> None:
    found = growth(life(1.0, megabytes))
    assert found.mb_per_h is not None and found.interval is not None
    assert found.mb_per_h == pytest.approx(slope, abs=0.25)
    assert found.interval[0] <= found.mb_per_h <= found.interval[1]
    assert found.anon_mb_per_h == pytest.approx(found.mb_per_h)
    assert (found.seconds, found.warm_s) == pytest.approx((2400, 1200), abs=4)


def test_the_longest_life_counts() -> None:
    vitals = [
        *life(0.1, lambda h: 100 + 50 * h, number=0),
        *life(0.5, lambda h: 200 + 3 * h, number=1, begin=400),
        *life(0.2, lambda h: 100, number=2, begin=2300),
    ]
    found = growth(vitals)
    assert found.mb_per_h == pytest.approx(3, abs=0.5)
    assert (found.seconds, found.warm_s) == pytest.approx((1200, 600), abs=4)


def test_descriptors_that_pile_up_show_and_chance_does_not() -> None:
    assert growth(life(0.5, lambda h: 200)).files == (38, 38)
    leaking = [
        Vital(v.at, 0, v.rss_mb, v.anon_mb, v.files + n // 300, 16)
        for n, v in enumerate(life(0.5, lambda h: 200))
    ]
    first, last = growth(leaking).files or (0, 0)
    assert first < last <= growth(leaking).most


def test_too_short_a_life_has_no_slope() -> None:
    assert growth(life(0.1, lambda h: 200)).mb_per_h is None
    assert growth([]).mb_per_h is None
