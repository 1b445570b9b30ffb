"""Whether the stamps of a stream are seconds of a clock at all."""

from __future__ import annotations

import numpy as np

from daemon.sources.base import SourceRefused
from pipeline.records import Float64

# Stamps are laid onto this host's clock: they lie within seconds of now, and hours off where a clock was set.
_DAY_S = 86_400.0
# A rate that is wrong is warned of; one that is wrong by so much is another unit.
_TENFOLD = 10.0
# Judged by the second: one that holds a jump is no evidence, three on end are.
_FAST_BLOCKS = 3
# Stamps given on arrival stand still while a link is held up; that ends at once when it comes back.
_STILL_S = 10.0


class StampWatch:
    """Fed with one connection's stamps. Without it such a stream looks alive and never fills a window."""

    def __init__(self, rate: float) -> None:
        """rate: nominal, Hz."""
        self._rate = rate
        self._last: float | None = None
        self._samples = 0
        self._advanced_s = 0.0
        self._fast = 0
        self._still_since: float | None = None

    def feed(self, stamps: Float64, now: float) -> None:
        """stamps: float64 (n_samples,), n_samples > 0; now: both on the host's monotonic clock, seconds.

        Raises SourceRefused.
        """
        off = stamps - now
        if off.max() > _DAY_S or off.min() < -_DAY_S:
            side = "after" if off.max() > _DAY_S else "before"
            raise SourceRefused(
                f"its stamps lie more than a day {side} now: they are not seconds of LSL's clock; let the "
                "outlet stamp with local_clock(), in seconds, or push without stamps"
            )
        before = stamps[0] if self._last is None else self._last
        self._advanced_s += float(np.diff(stamps, prepend=before).clip(min=0.0).sum())
        self._last = float(stamps[-1])
        self._samples += stamps.size
        if self._samples >= self._rate:
            self._judge(self._advanced_s * self._rate / self._samples, now)
            self._samples, self._advanced_s = 0, 0.0

    def _judge(self, pace: float, now: float) -> None:
        """pace: how far the stamps of the last second went, as a multiple of what its samples take."""
        self._fast = self._fast + 1 if pace > _TENFOLD else 0
        if pace >= 1 / _TENFOLD:
            self._still_since = None
        elif self._still_since is None:
            self._still_since = now
        still = self._still_since is not None and now - self._still_since >= _STILL_S
        if self._fast >= _FAST_BLOCKS or still:
            how = "stand still" if still else "run on more than tenfold"
            raise SourceRefused(
                f"its stamps {how} against its rate of {self._rate:g} Hz: let the outlet stamp in seconds, "
                "or set its true rate with `rate`"
            )
