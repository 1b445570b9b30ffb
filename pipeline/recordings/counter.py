"""Finds lost samples by the package numbers that boards send along.

Boards differ: Cyton counts every sample and wraps at 256, Cyton with Daisy counts by two, Muse and
Ganglion give several samples one number, Ganglion counts 1..100, Unicorn wraps at 2³². So the step, the
samples a package and the wrap are learnt from the stream itself.
"""

from __future__ import annotations

import numpy as np

from pipeline.records import Float64

# Packages by which step and samples a package are known, and samples within which they must have come.
_LEARN = 16
_LEARN_SAMPLES = 2048
# More breaks than this share of packages is a counter that does not count, not a bad link.
_HOPELESS = 0.2
# Counters are mostly 8 or 16 bits wide; with losses around the wrap the top may not have been seen.
_WIDTHS = (2**8, 2**16)
_WIDTH_SLACK = 8


class PackageCounter:
    """One connection's counter. `usable` turns False for good where the numbers make no sense."""

    def __init__(self) -> None:
        self.usable = True
        self._learning: list[float] = []
        self._step = 1.0
        self._samples = 1
        self._last: float | None = None
        self._lowest = np.inf
        self._highest = -np.inf
        self._wrap: float | None = None
        self._packages = self._breaks = 0

    @property
    def modulo(self) -> int | None:
        """Samples after which the numbers repeat, None if not yet seen; losses are known up to multiples."""
        return None if self._wrap is None else round(self._wrap / self._step) * self._samples

    def feed(self, numbers: Float64) -> list[tuple[int, int]]:
        """numbers: (n_samples,). Returns (index, lost): `lost` samples are missing before sample `index`."""
        if self._packages < _LEARN and len(self._learning) < _LEARN_SAMPLES:
            self._learn(numbers)
        lost = []
        last = self._last
        for index in np.flatnonzero(np.diff(numbers, prepend=np.nan if last is None else last) != 0):
            number = float(numbers[index])
            missing = self._missing(number)
            if missing and self.usable:
                lost.append((int(index), missing))
        return lost

    def _learn(self, numbers: Float64) -> None:
        self._learning += numbers.tolist()
        seen = np.array(self._learning)
        changes = np.flatnonzero(np.diff(seen)) + 1
        steps = np.diff(seen)[changes - 1]
        if (steps > 0).any():
            # Losses are rare: the commonest step is the counter's own.
            values, counts = np.unique(steps[steps > 0], return_counts=True)
            self._step = float(values[counts.argmax()])
        if changes.size > 1:
            lengths, counts = np.unique(np.diff(changes), return_counts=True)
            self._samples = int(lengths[counts.argmax()])

    def _missing(self, number: float) -> int:
        """Samples lost between the last package and this one."""
        last, self._last = self._last, number
        self._lowest, self._highest = min(self._lowest, number), max(self._highest, number)
        if last is None:
            return 0
        step = number - last
        if step < 0:
            span = self._highest - self._lowest + self._step
            self._wrap = next((float(w) for w in _WIDTHS if 0 <= w - span <= _WIDTH_SLACK), span)
            step += self._wrap
        missing = max(0, round(step / self._step) - 1)
        self._packages += 1
        self._breaks += missing > 0
        if self._packages > _LEARN and self._breaks > _HOPELESS * self._packages:
            self.usable = False
        return missing * self._samples
