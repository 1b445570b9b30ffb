"""How long readings took, over the last of them."""

from __future__ import annotations

from collections import deque

from daemon.messages import Percentiles

# Readings that the percentiles look back on: half an hour of one stream.
REMEMBERED = 900


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that `share` of all do not exceed; None for no values."""
    if not values:
        return None
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


class Latencies:
    """Milliseconds. label: the model's run; total: from the window's last sample to the outbox."""

    def __init__(self) -> None:
        self._kept = {name: deque[float](maxlen=REMEMBERED) for name in ("label", "total")}

    def add(self, label_ms: float, total_ms: float) -> None:
        # An abstention needs no model, and would make the model look faster than it is.
        if label_ms > 0:
            self._kept["label"].append(label_ms)
        self._kept["total"].append(total_ms)

    def percentiles(self) -> dict[str, Percentiles]:
        return {
            name: Percentiles(p50=_round(percentile([*v], 0.5)), p99=_round(percentile([*v], 0.99)))
            for name, v in self._kept.items()
        }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
