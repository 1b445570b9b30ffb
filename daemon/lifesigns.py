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
    """Where a stream's samples come in, as seen from here. All times: seconds.

    name: the stream's. driver_patience_s: what its driver was given to look for its device.
    """

    name: str
    driver_patience_s: float

    @property
    def alive(self) -> bool:
        """False where its thread has died without having been asked to."""

    @property
    def driver_silent_s(self) -> float:
        """Since its source's driver last returned, with samples or without."""

    def untaken_s(self) -> float:
        """For how long, as seen by its calls, chunks have waited and none was taken."""


def lifeless(intakes: Iterable[Living], model_busy_s: float) -> str:
    """In one line what hangs; empty where all goes on."""
    if model_busy_s > STUCK_S:
        return f"the model has not come back for {model_busy_s:.0f} s"
    for intake in intakes:
        if not intake.alive:
            return f"{intake.name}: the source's thread has died"
        if (waited := intake.untaken_s()) > STUCK_S:
            return f"{intake.name}: samples wait and none has been processed for {waited:.0f} s"
        if intake.driver_silent_s > DRIVER_S + intake.driver_patience_s:
            return f"{intake.name}: the driver has not come back for {intake.driver_silent_s:.0f} s"
    return ""
