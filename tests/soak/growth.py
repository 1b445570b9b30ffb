"""Does the daemon grow? Memory and descriptors over its longest life, judged so that no peak decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from tests.soak.node import Vital

# A process that has just begun still grows: caches fill, code is read for the first time. That is no leak.
WARM_S = 1200.0
_WARM_SHARE = 1 / 3  # of a life that is too short for that
_LEAST_S = 300.0  # of a life after that, for a slope to mean anything
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Growth:
    """Of the longest life, behind its warm-up of warm_s seconds: seconds long.

    mb_per_h: resident memory by Theil and Sen's estimator over the medians of each minute; interval: its
    95 % confidence. anon_mb_per_h: likewise, of what no file backs. None where no life was long enough.
    files: descriptors open, the median of the first quarter and of the last; most: at any time.
    """

    seconds: float
    warm_s: float
    mb_per_h: float | None = None
    interval: tuple[float, float] | None = None
    anon_mb_per_h: float | None = None
    files: tuple[int, int] | None = None
    most: int = 0


def growth(vitals: Sequence[Vital]) -> Growth:
    lives: dict[int, list[Vital]] = defaultdict(list)
    for vital in vitals:
        lives[vital.life].append(vital)
    life = max(lives.values(), key=_length, default=[])
    warm_s = min(WARM_S, _WARM_SHARE * _length(life))
    settled = [vital for vital in life if vital.at >= life[0].at + warm_s]
    if _length(settled) < _LEAST_S:
        return Growth(_length(settled), warm_s)
    slope, low, high = _slope(settled, [vital.rss_mb for vital in settled])
    quarter = max(1, len(settled) // 4)
    files = [vital.files for vital in settled]
    return Growth(
        seconds=_length(settled),
        warm_s=warm_s,
        mb_per_h=slope,
        interval=(low, high),
        anon_mb_per_h=_slope(settled, [vital.anon_mb for vital in settled])[0],
        files=(int(np.median(files[:quarter])), int(np.median(files[-quarter:]))),
        most=max(files),
    )


def minutes(vitals: Sequence[Vital], points: int = 16) -> list[tuple[float, Vital]]:
    """(minutes since the first, what it was then), evenly over time."""
    chosen = np.unique(np.linspace(0, len(vitals) - 1, points).astype(int)) if vitals else []
    return [(round((vitals[n].at - vitals[0].at) / 60, 1), vitals[n]) for n in chosen]


def _length(life: Sequence[Vital]) -> float:
    return life[-1].at - life[0].at if life else 0.0


def _slope(life: Sequence[Vital], megabytes: Sequence[float]) -> tuple[float, float, float]:
    """MB an hour, and its confidence interval. One value a minute: a fault's peak lasts for seconds."""
    at = np.array([vital.at - life[0].at for vital in life])
    minute = (at // _MINUTE_S).astype(int)
    whole = [minute == n for n in np.unique(minute)]
    hours = [float(np.mean(at[one])) / 3600 for one in whole]
    medians = [float(np.median(np.array(megabytes)[one])) for one in whole]
    found = theilslopes(medians, hours)
    return float(found.slope), float(found.low_slope), float(found.high_slope)
