"""How the daemon is doing, as a message."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path

from daemon.commands import Commands
from daemon.drafting import Drafting
from daemon.latency import Latencies
from daemon.messages import Health
from daemon.outbox import Outbox
from daemon.publisher import Publisher
from daemon.stream import Stream


def rss_mib() -> float:
    """Resident memory of this process, MiB; its peak where /proc is not to be seen."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Checkup:
    """Asks every part; keeps nothing."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        outbox: Outbox,
        publisher: Publisher,
        commands: Commands,
        latencies: Latencies,
        drafting: Drafting | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._streams = streams
        self._outbox = outbox
        self._publisher = publisher
        self._commands = commands
        self._latencies = latencies
        self._drafting = drafting

    def health(self) -> Health:
        return Health(
            uptime_s=round(time.monotonic() - self._began, 1),
            rss_mib=round(rss_mib(), 1),
            latency_ms=self._latencies.percentiles(),
            outbox=self._outbox.counts(),
            mqtt={
                "connects": self._publisher.connects,
                "sent": self._publisher.sender.sent,
                "replayed": self._publisher.sender.again,
                "commands_obeyed": self._commands.obeyed,
                "commands_refused": self._commands.refused,
                "commands_unanswered": self._commands.unanswered,
            },
            streams={name: stream.health() for name, stream in self._streams.items()},
            alarms=self._outbox.alarms.lines,
            drafts={} if self._drafting is None else self._drafting.counts(),
        )
