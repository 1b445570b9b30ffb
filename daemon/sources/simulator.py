"""A simulated headset as a source of the daemon's own."""

from __future__ import annotations

from daemon.clocks import utc_offset
from daemon.sources.base import StreamInfo, Timing
from daemon.sources.pace import Pacer
from daemon.sources.settings import SimulatorSource
from daemon.sources.synthetic_eeg import Rhythm, SignalModel, SimulatedHeadset
from pipeline.records import Chunk

__all__ = ["Rhythm", "SignalModel", "SimulatedHeadset", "Simulator"]

_BLOCK_S = 0.04  # as wireless headsets send
_BACKLOG_S = 1.0  # the largest chunk, when the reader was late


class Simulator:
    """See `Source`. The person lives on between openings, as a real one would."""

    def __init__(self, settings: SimulatorSource) -> None:
        self._settings = settings
        self._headset = SimulatedHeadset(
            settings.electrodes,
            settings.rate,
            settings.seed,
            settings.mains_hz,
            settings.states,
            settings.period_s,
        )
        self._pacer: Pacer | None = None
        self._segment = -1

    def open(self) -> StreamInfo:
        settings = self._settings
        self._pacer = Pacer(settings.rate)
        self._segment += 1
        return StreamInfo(
            channels=settings.electrodes,
            rate=settings.rate,
            description=f"simulated headset, {len(settings.electrodes)} electrodes at {settings.rate:g} Hz",
            device={"kind": "simulator", "seed": str(settings.seed), "states": settings.states},
        )

    def read(self, timeout_s: float) -> Chunk | None:
        assert self._pacer is not None, "open() comes first"
        rate = self._settings.rate
        block = max(1, int(_BLOCK_S * rate))
        if not self._pacer.wait(block, timeout_s):
            return None
        n = min(max(block, self._pacer.due()), int(_BACKLOG_S * rate) or 1)
        first, arrived = self._headset.sample, self._pacer.take(n)
        return Chunk(
            data=self._headset.next(n),
            first_sample=first,
            time=utc_offset() + arrived - n / rate,
            time_uncertainty=0.0,
            arrived=arrived,
            channels=self._settings.electrodes,
            rate=rate,
            segment=self._segment,
        )

    def close(self) -> None:
        self._pacer = None

    @property
    def timing(self) -> Timing:
        return Timing(rate_true=self._settings.rate)
