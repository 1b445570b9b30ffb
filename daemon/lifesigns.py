"""Whether the daemon still does what it is for. systemd's watchdog hangs on the answer.

A headset that is away is no reason to start anew, as long as its absence is admitted and somebody looks
for it. A driver, model or loop that hangs is: a native call cannot be ended in any other way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

# A model run that takes longer hangs; so does a stream whose chunks nobody takes.
STUCK_S = 15.0
# What a driver may take beyond the time it was given to look for its device.
DRIVER_S = 60.0


class Living(Protocol):
    """A stream, as seen from here. All times: seconds."""

    name: str

    @property
    def alive(self) -> bool:
        """False where its thread has died without having been asked to."""

    @property
    def driver_silent_s(self) -> float:
        """Since its source's driver last returned, with samples or without."""

    @property
    def driver_patience_s(self) -> float:
        """What its driver was given to look for its device."""

    def untaken_s(self) -> float:
        """For how long, as seen by its calls, chunks have waited and none was taken."""


def lifeless(streams: Iterable[Living], model_busy_s: float) -> str:
    """In one line what hangs; empty where all goes on."""
    if model_busy_s > STUCK_S:
        return f"the model has not come back for {model_busy_s:.0f} s"
    for stream in streams:
        if not stream.alive:
            return f"{stream.name}: the source's thread has died"
        if (waited := stream.untaken_s()) > STUCK_S:
            return f"{stream.name}: samples wait and none has been processed for {waited:.0f} s"
        if stream.driver_silent_s > DRIVER_S + stream.driver_patience_s:
            return f"{stream.name}: the driver has not come back for {stream.driver_silent_s:.0f} s"
    return ""
