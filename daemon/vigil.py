"""What state a stream is in. Samples decide, never a socket: connected and silent is not online."""

from __future__ import annotations

from daemon.messages import Calibration, StreamState
from daemon.sources.base import SourceEvent

# A stall this long is an absence, seconds.
OFFLINE_AFTER_S = 30.0
# Samples come in bursts, and the source's clock holds late ones back for half a second.
GRACE_S = 1.0


class Vigil:
    """Fed with what is seen of a stream; says in which state it is. Times are monotonic seconds."""

    def __init__(self, stall_s: float, min_quality: float) -> None:
        self._stall_s = stall_s
        self.min_quality = min_quality
        self._last_sample: float | None = None
        self._source = "connecting"
        self._gone = True  # by the source's own account, since the last sample
        self.settled = False
        """True once samples have come, or it was admitted why none do."""
        self._refusal = ""
        self._fault = ""
        self._rate_fault = ""
        self.calibration: Calibration | None = Calibration(0.0, 0.0)
        """Progress while calibrating, None when done."""

    def event(self, event: SourceEvent) -> None:
        if event.state in ("lost", "refused", "ended", "connecting"):
            self._gone = True
            self._source = event.detail or event.state
            self.settled |= event.state != "connecting"
        elif event.state == "stalled":
            self._source = event.detail
            self.settled = True

    def samples(self, now: float) -> None:
        self._last_sample = now
        self._gone = False
        self.settled = True

    def refuse(self, reason: str) -> None:
        """Samples come but cannot be used, for a reason that lasts; empty when mended."""
        self._refusal = reason

    def rate(self, fault: str) -> None:
        """Samples come at another rate than is claimed, and so all results are off; empty when mended."""
        self._rate_fault = fault

    def window(self, score: float, abstained: str) -> None:
        """score: share of good channels, 0..1. abstained: why the window cannot be read, else empty."""
        self._fault = abstained
        if not abstained and score < self.min_quality:
            self._fault = f"good channels: {score:.0%} of the montage, {self.min_quality:.0%} wanted"

    def state(self, now: float) -> tuple[StreamState, str]:
        """The state, and in one line why."""
        if self._last_sample is None or self._gone:
            return "offline", self._source
        silent = now - self._last_sample
        if silent > OFFLINE_AFTER_S:
            return "offline", f"no samples for {OFFLINE_AFTER_S:g} s"
        if silent > self._stall_s + GRACE_S:
            return "stalled", f"no samples for {self._stall_s:g} s"
        if self._refusal:
            return "degraded", self._refusal
        if self._rate_fault:
            return "degraded", self._rate_fault
        if self.calibration is not None:
            return "calibrating", self._fault
        if self._fault:
            return "degraded", self._fault
        return "online", ""
