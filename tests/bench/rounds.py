"""Fair rounds: the compared programs take turns, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one figure over the rounds: median, smallest and largest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.low)} to {number(self.high)})"


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def alternate(programs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each program once a round, every other round in the reverse order. Returns a figure a round."""
    found: dict[str, list[float]] = {name: [] for name in programs}
    names = list(programs)
    for n in range(rounds):
        for name in reversed(names) if n % 2 else names:
            found[name].append(programs[name]())
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours by theirs, round by round: only neighbours in time are compared."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def number(value: float) -> str:
    """Three digits are all that such measurements carry."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
