"""A stream of the Lab Streaming Layer.

liblsl's own recovery is off: it turns a lost outlet into silence. Its post-processing is off too: it
smears gaps away. So a lost stream is an error here, silence is the feed's to notice, and the raw stamps
are laid onto the host's clock and read by SegmentClock.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque

import numpy as np

from daemon.clocks import STEP_S, utc_offset
from daemon.sources import lsl_streams
from daemon.sources.base import SourceLost, StreamInfo, Timing
from daemon.sources.clock import SegmentClock, Stretch
from daemon.sources.lag import Lag
from daemon.sources.liblsl import lib, pylsl
from daemon.sources.settings import LslSource
from daemon.sources.stamps import StampWatch
from pipeline.records import Chunk

# What liblsl may buffer, seconds: enough for a hiccup of ours, too little to serve the past for long.
_BUFFER_S = 10
_OPEN_S = 5.0
# The system's clock is slewed: how often its distance from the monotonic clock is read anew.
_UTC_EVERY_S = 5.0
# What liblsl raises where a stream goes while it is asked: its own trouble included, which a new inlet ends.
_GONE = (pylsl.util.LostError, pylsl.util.TimeoutError, pylsl.util.InternalError)


class LslInlet:
    """See `Source`. Looks for its stream anew at each opening: it may come back under another source_id."""

    def __init__(self, settings: LslSource) -> None:
        self._settings = settings
        self._inlet: pylsl.StreamInlet | None = None
        self._clock: SegmentClock | None = None
        self._watch: StampWatch | None = None
        self._rows = np.empty(0, np.intp)
        self._factors = np.empty((0, 1), np.float32)
        self._channels: tuple[str, ...] = ()
        self._rate = 0.0
        self._ready: deque[Chunk] = deque()
        self._utc = 0.0  # UTC minus the monotonic clock
        self._utc_at = -np.inf
        self._lag = Lag()

    def open(self) -> StreamInfo:
        found = lsl_streams.find(self._settings)
        inlet = pylsl.StreamInlet(found, max_buflen=_BUFFER_S, recover=False, as_numpy=True)
        try:
            info = inlet.info(_OPEN_S)
            channels = lsl_streams.channels(info, self._settings)
            _correction(inlet, _OPEN_S)  # the first takes over half a second, later ones nothing
            inlet.open_stream(_OPEN_S)
        except _GONE as error:
            raise SourceLost(f"LSL stream {found.name()!r} does not answer") from error
        rate = self._settings.rate or float(info.nominal_srate())
        if self._clock is None:
            self._clock = SegmentClock(rate)
        else:
            self._ready += [self._chunk(stretch, 0.0) for stretch in self._clock.cut(rate=rate)]
        self._inlet, self._rate, self._channels = inlet, rate, channels.names
        self._watch = StampWatch(rate)
        self._rows = np.array(channels.rows, np.intp)
        self._factors = np.array(channels.factors, np.float32)[:, None]
        self._lag.reopen(time.monotonic())
        return StreamInfo(
            channels=channels.names,
            rate=rate,
            description=f"LSL {lsl_streams.describe(info)}, {len(channels.names)} channels at {rate:g} Hz",
            device={
                "kind": "lsl",
                "name": info.name(),
                "type": info.type(),
                "source_id": info.source_id(),
                "host": info.hostname(),
                "uid": info.uid(),
            },
            warnings=channels.warnings,
        )

    def read(self, timeout_s: float) -> Chunk | None:
        if self._ready:
            return self._ready.popleft()
        assert self._inlet and self._clock and self._watch, "open() comes first"
        try:
            data, stamps = self._inlet.pull_chunk(timeout_s, min_samples=1)
            if not len(stamps):
                return None
            offset, uncertainty = _correction(self._inlet, 0.2)
        except _GONE as error:
            self._ready += [self._chunk(stretch, 0.0) for stretch in self._clock.flush()]
            if self._ready:  # the next read finds the stream lost once more
                return self._ready.popleft()
            raise SourceLost(f"the LSL stream is gone ({error})") from error
        now = time.monotonic()
        # pylsl's clock and Python's monotonic clock are the same one up to the call's own microseconds.
        stamps = np.where(np.isfinite(stamps), stamps, now - offset)
        self._watch.feed(stamps + offset, now)
        utc = utc_offset()
        if now - self._utc_at > _UTC_EVERY_S or abs(utc - self._utc) > STEP_S:
            self._utc, self._utc_at = utc, now
        # Samples beyond float32's range become infinite; the chain flags them like the others.
        with np.errstate(over="ignore"):
            rows = np.asarray(data.T[self._rows], dtype=np.float32) * self._factors
        arrived = self._lag.arrived(float(stamps[-1]) + offset, now)
        self._ready += [self._chunk(s, uncertainty) for s in self._clock.feed(rows, stamps, arrived, offset)]
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        if self._inlet is not None:
            self._inlet.close_stream()
        # The inlet's destructor closes its sockets; no other reference is held.
        self._inlet = None

    @property
    def timing(self) -> Timing:
        return Timing(self._clock.rate_true, self._clock.backwards) if self._clock else Timing()

    def _chunk(self, stretch: Stretch, uncertainty: float) -> Chunk:
        return Chunk(
            data=stretch.data,
            first_sample=stretch.first_sample,
            time=stretch.time + self._utc,
            time_uncertainty=uncertainty + stretch.jitter,
            arrived=stretch.arrived,
            channels=self._channels,
            rate=self._rate,
            segment=stretch.segment,
            stamps=stretch.stamps,
            offset=stretch.offset,
        )


# pylsl's own time_correction leaves out the uncertainty.
lib.lsl_time_correction_ex.restype = ctypes.c_double


def _correction(inlet: pylsl.StreamInlet, timeout_s: float) -> tuple[float, float]:
    """What to add to the stream's stamps to get the host's monotonic clock, and its uncertainty, seconds."""
    remote, uncertainty, failed = ctypes.c_double(), ctypes.c_double(), ctypes.c_int()
    offset = lib.lsl_time_correction_ex(
        inlet.obj,
        ctypes.byref(remote),
        ctypes.byref(uncertainty),
        ctypes.c_double(timeout_s),
        ctypes.byref(failed),
    )
    pylsl.util.handle_error(failed)
    return float(offset), float(uncertainty.value)
